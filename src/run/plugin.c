// The record of a plugin: made when its file is read, unloaded once, and freed
// when nobody holds it any more.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../hash.h"
#include "../memory.h"
#include "debugger.h"
#include "define.h"
#include "lazy.h"
#include "objects.h"

e64_status plugin_new(e64_runtime *runtime, e64_plugin **plugin)
{
    static atomic_ullong generations;
    e64_plugin *made = memory_new(sizeof *made);
    *plugin = NULL;
    if (!made)
        return fail_memory(sizeof *made);
    made->runtime = runtime;
    made->generation = atomic_fetch_add(&generations, 1) + 1;
    made->unit.file.fd = -1;
    atomic_init(&made->holds, 1);
    atomic_init(&made->state, E64_STATE_MAPPED);
    *plugin = made;
    return E64_OK;
}

e64_status plugin_new_outside(e64_runtime *runtime, const char *name,
                              e64_plugin **plugin)
{
    static struct elf_symbols none;
    e64_plugin *made;
    e64_status status = plugin_new(runtime, &made);
    if (status != E64_OK)
        return status;
    made->unit.file.name = memory_copy(name);
    if (!made->unit.file.name) {
        plugin_drop(made);
        return fail_memory(strlen(name) + 1);
    }
    made->unit.object.name = made->unit.file.name;
    made->unit.object.symbols = &none;
    made->outside = true;
    made->nodelete = true;
    made->turn = 1;
    atomic_store(&made->state, E64_STATE_STARTED);
    *plugin = made;
    return E64_OK;
}

uint32_t plugin_name_hash(const char *name)
{
    return (uint32_t)text_hash(name, strlen(name));
}

bool plugin_has_name(const e64_plugin *plugin, const char *name, uint32_t hash)
{
    for (const struct plugin_name *known = plugin->names; known;
         known = known->next)
        if (known->hash == hash && strcmp(known->text, name) == 0)
            return true;
    return false;
}

struct plugin_name *plugin_make_name(const char *name)
{
    size_t size = strlen(name) + 1;
    struct plugin_name *made = memory_resize(NULL, sizeof *made + size);
    if (!made) {
        fail_memory(size);
        return NULL;
    }
    made->next = NULL;
    made->hash = plugin_name_hash(name);
    memcpy(made->text, name, size);
    return made;
}

void plugin_take_name(e64_plugin *plugin, struct plugin_name *added)
{
    // Behind the first, which is the name to show.
    struct plugin_name **at = plugin->names ? &plugin->names->next
                                            : &plugin->names;
    added->next = *at;
    added->plugin = plugin;
    *at = added;
    registry_add_name(added);
}

e64_status plugin_add_name(e64_plugin *plugin, const char *name)
{
    if (plugin_has_name(plugin, name, plugin_name_hash(name)))
        return E64_OK;
    struct plugin_name *added = plugin_make_name(name);
    if (!added)
        return E64_NOMEMORY;
    plugin_take_name(plugin, added);
    return E64_OK;
}

void plugin_unload(e64_plugin *plugin)
{
    debugger_remove(plugin);
    define_unuse(plugin);
    for (uint32_t i = 0; i < plugin->kept_count; i++)
        host_unkeep(plugin->kept[i]);
    plugin->kept_count = 0;
    if (plugin->host)
        host_unkeep(plugin->host);
    plugin->host = NULL;
    // Others may be describing it: what they find is either all there or the
    // name alone, which stays to be shown.
    struct link_unit unit = plugin->unit;
    char *name = unit.file.name;
    unit.file.name = NULL;
    lock_take(&plugin->runtime->lock);
    plugin->unit = (struct link_unit){ .file = { .fd = -1, .name = name },
                                       .object = { .name = name } };
    atomic_store(&plugin->state, E64_STATE_STOPPED);
    lock_give(&plugin->runtime->lock);
    objects_free(plugin);
    link_free(&unit);
}

e64_plugin *plugin_hold(e64_plugin *plugin)
{
    atomic_fetch_add(&plugin->holds, 1);
    return plugin;
}

void plugin_drop(e64_plugin *plugin)
{
    if (!plugin || atomic_fetch_sub(&plugin->holds, 1) != 1)
        return;
    while (plugin->names) {
        struct plugin_name *name = plugin->names;
        plugin->names = name->next;
        memory_free(name);
    }
    memory_free(plugin->needs);
    memory_free(plugin->filters);
    memory_free(plugin->scope);
    memory_free(plugin->order);
    memory_free(plugin->starts);
    memory_free(plugin->bound);
    memory_free(plugin->kept);
    why_free(&plugin->why);
    lazy_list_free(atomic_load(&plugin->roots));
    if (plugin->snapshot)
        host_snapshot_release(plugin->snapshot);
    if (plugin->scope_snapshot)
        host_snapshot_release(plugin->scope_snapshot);
    objects_free(plugin);
    link_free(&plugin->unit);
    memory_free(plugin);
}
