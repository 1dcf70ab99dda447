// Which plugins a runtime has, and by what names and files they are known.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

e64_plugin *registry_find_name(e64_runtime *runtime, const char *name)
{
    uint32_t hash = elf_gnu_hash(name);
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        if (!plugin->isolated && !plugin->gone
            && plugin_has_name(plugin, name, hash))
            return plugin;
    }
    return NULL;
}

e64_plugin *registry_find_file(e64_runtime *runtime, dev_t device,
                               ino_t inode)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        const struct elf_file *file = &plugin->unit.file;
        if (!plugin->isolated && !plugin->gone && file->identified
            && file->inode == inode && file->device == device)
            return plugin;
    }
    return NULL;
}

e64_plugin *registry_find_host(e64_runtime *runtime,
                               const struct host_module *module)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        if (plugin->host && !plugin->gone
            && (plugin->host == module
                             || plugin->host->object.bias
                                == module->object.bias))
            return plugin;
    }
    return NULL;
}

e64_status registry_reserve(e64_runtime *runtime, uint32_t more)
{
    uint32_t room = runtime->plugin_count + more;
    if (room <= runtime->plugin_room)
        return E64_OK;
    room += room / 2 + 8;
    e64_plugin **plugins = memory_resize(runtime->plugins,
                                         room * sizeof *plugins);
    if (!plugins)
        return fail_memory(room * sizeof *plugins);
    runtime->plugins = plugins;
    runtime->plugin_room = room;
    return E64_OK;
}

void registry_add(e64_runtime *runtime, e64_plugin *plugin)
{
    runtime->plugins[runtime->plugin_count++] = plugin;
}

// Is a module of the host visible to all opens?
static bool is_visible(const e64_runtime *runtime,
                       const struct elf_object *object)
{
    if (host_module_of(object)->global)
        return true;
    for (uint32_t i = 0; i < runtime->global_count; i++)
        if (runtime->globals[i] == object)
            return true;
    return false;
}

// Does one that was opened `global`, other than this one, need a module of the
// host?
static bool is_promoted(const e64_runtime *runtime, const e64_plugin *but,
                        const struct elf_object *object)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        const e64_plugin *plugin = runtime->plugins[i];
        for (uint32_t n = 0; plugin != but && plugin->promotes
                             && n < plugin->scope_count; n++)
            if (plugin->scope[n] == object)
                return true;
    }
    return false;
}

void registry_remove(e64_runtime *runtime, e64_plugin *plugin)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (runtime->plugins[i] != plugin)
            runtime->plugins[kept++] = runtime->plugins[i];
    runtime->plugin_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < runtime->global_count; i++) {
        const struct elf_object *object = runtime->globals[i];
        if (object->host ? is_promoted(runtime, plugin, object)
                         : object != &plugin->unit.object)
            runtime->globals[kept++] = object;
    }
    runtime->global_count = kept;
}

e64_status registry_add_globals(e64_runtime *runtime, e64_plugin *root)
{
    uint32_t room = runtime->global_count + root->scope_count;
    const struct elf_object **globals = memory_resize(runtime->globals,
                                                      room * sizeof *globals);
    if (!globals)
        return fail_memory(room * sizeof *globals);
    runtime->globals = globals;
    for (uint32_t i = 0; i < root->scope_count; i++) {
        e64_plugin *plugin = plugin_of(root->scope[i]);
        if (plugin ? plugin->global : is_visible(runtime, root->scope[i]))
            continue;
        if (plugin)
            plugin->global = true;
        globals[runtime->global_count++] = root->scope[i];
    }
    root->promotes = true;
    return E64_OK;
}
