// Tells what plugins are, and what lies at an address.

#include "nearest.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "addresses.h"
#include "../tls/tls.h"

// Of one that has stopped, whose runtime may have been freed.
static void describe_stopped(const e64_plugin *plugin, e64_plugin_info *info)
{
    *info = (e64_plugin_info){
        .name = plugin->names ? plugin->names->text : plugin->unit.object.name,
        .path = plugin->unit.object.name,
        .generation = plugin->generation,
        .state = E64_STATE_STOPPED,
        .times = plugin->times,
    };
}

// With the runtime's lock held, under which it becomes one that has stopped.
static void describe(const e64_plugin *plugin, e64_plugin_info *info)
{
    const struct elf_object *object = &plugin->unit.object;
    *info = (e64_plugin_info){
        .name = plugin->names ? plugin->names->text : object->name,
        .path = object->name,
        .soname = object->soname,
        .base = object->bias,
        .start = object->start,
        .end = object->end,
        .generation = plugin->generation,
        .tls_module = object->tls_module,
        .state = atomic_load(&plugin->state),
        .handles = plugin->handles,
        .segments = plugin->unit.image.load_count,
        .times = plugin->times,
    };
}

void e64_plugin_describe(e64_plugin *plugin, e64_plugin_info *info)
{
    if (!info)
        return;
    if (!plugin) {
        *info = (e64_plugin_info){ .name = NULL };
        return;
    }
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED) {
        describe_stopped(plugin, info);
        return;
    }
    lock_take(&plugin->runtime->lock);
    describe(plugin, info);
    lock_give(&plugin->runtime->lock);
    info->tls_offset = tls_module_tp_offset(info->tls_module); // if it is ours
}

// The first that was mapped after one, held; NULL when that was the last.
static e64_plugin *next_plugin(e64_runtime *runtime, uint64_t generation)
{
    e64_plugin *next = NULL;
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        if (plugin->generation > generation
            && (!next || plugin->generation < next->generation))
            next = plugin;
    }
    if (next)
        plugin_hold(next);
    lock_give(&runtime->lock);
    return next;
}

// Without memory for a list of them: what the walk closes it does not see.
static int walk_without_list(e64_runtime *runtime,
                             int (*visit)(void *data, e64_plugin *plugin),
                             void *data)
{
    int answer = 0;
    e64_plugin *plugin;
    for (uint64_t generation = 0; !answer
         && (plugin = next_plugin(runtime, generation)); ) {
        generation = plugin->generation;
        answer = visit(data, plugin);
        plugin_drop(plugin);
    }
    return answer;
}

int e64_plugins(e64_runtime *runtime,
                int (*visit)(void *data, e64_plugin *plugin), void *data)
{
    if (!runtime || !visit)
        return 0;
    lock_take(&runtime->lock);
    uint32_t count = runtime->plugin_count;
    e64_plugin **plugins = memory_array(count, sizeof *plugins);
    for (uint32_t i = 0; plugins && i < count; i++)
        plugins[i] = plugin_hold(runtime->plugins[i]);
    lock_give(&runtime->lock);
    if (!plugins)
        return walk_without_list(runtime, visit, data);
    int answer = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!answer)
            answer = visit(data, plugins[i]);
        plugin_drop(plugins[i]);
    }
    memory_free(plugins);
    return answer;
}

size_t e64_relocations(e64_plugin *plugin, e64_count *counts, size_t room)
{
    if (!plugin || (room && !counts))
        return 0;
    const struct link_unit *unit = &plugin->unit;
    size_t count = 0;
    for (uint32_t type = 0; type < LINK_TYPES; type++) {
        if (!unit->counts[type])
            continue;
        if (count < room)
            counts[count] = (e64_count){ link_type_name(type),
                                         unit->counts[type] };
        count++;
    }
    if (unit->relr_count) {
        if (count < room)
            counts[count] = (e64_count){ "DT_RELR", unit->relr_count };
        count++;
    }
    return count;
}

size_t e64_imports(e64_plugin *plugin)
{
    return plugin ? plugin->imports : 0;
}

static void describe_place(const struct elf_object *object, uintptr_t address,
                           e64_place *place)
{
    struct nearest nearest;
    *place = (e64_place){ .plugin = plugin_of(object), .file = object->name,
                          .base = object->bias };
    if (!nearest_symbol(object, address - object->bias, true, &nearest))
        return;
    const struct elf_version *version = elf_symbol_version(nearest.symbols,
                                                           nearest.index);
    place->symbol = elf_string(nearest.symbols, nearest.symbol.st_name);
    place->version = version && !version->needed
                   ? elf_string(nearest.symbols, version->name) : NULL;
    place->address = (void *)(object->bias + nearest.symbol.st_value);
    place->size = nearest.symbol.st_size;
}

e64_plugin *plugin_at(uintptr_t address)
{
    unsigned ticket = addresses_enter();
    const struct address_entry *entry = addresses_find(address);
    e64_plugin *plugin = entry ? plugin_hold(entry->plugin) : NULL;
    addresses_leave(ticket);
    return plugin;
}

// What a plugin has there is read before it can be unmapped.
bool plugin_place(uintptr_t address, e64_place *place)
{
    unsigned ticket = addresses_enter();
    const struct address_entry *entry = addresses_find(address);
    if (entry)
        describe_place(&entry->plugin->unit.object, address, place);
    addresses_leave(ticket);
    return entry != NULL;
}

static e64_status find_place(uintptr_t address, e64_place *place)
{
    if (plugin_place(address, place))
        return E64_OK;
    struct host_snapshot *snapshot;
    e64_status status = host_snapshot(&snapshot);
    if (status != E64_OK)
        return status;
    struct host_module *module = host_containing(snapshot, address);
    if (module)
        describe_place(&module->object, address, place);
    else
        status = fail(E64_NOTFOUND, "nothing that was opened lies at 0x%llx",
                      (unsigned long long)address);
    host_snapshot_release(snapshot);
    return status;
}

e64_status e64_whence(const void *address, e64_place *place, e64_error *error)
{
    e64_status status = place ? find_place((uintptr_t)address, place)
        : fail(E64_INVALID, "e64_whence: place must not be NULL");
    return error_give(status, error);
}
