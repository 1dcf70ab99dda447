// Which plugins a runtime has, and by what names and files they are known.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "lazy.h"

// What is found must be the same however many there are, and cost the same: all
// that is asked for at each open or close is in chains. Among several the one
// that was registered first counts.

static uint64_t mix(uint64_t word)
{
    word *= 0x9e3779b97f4a7c15ull;
    return word ^ word >> 32;
}

static uint64_t hash_file(dev_t device, ino_t inode)
{
    return mix(mix(device) ^ inode);
}

static uint32_t chain_of(const e64_runtime *runtime, uint64_t hash)
{
    return (uint32_t)hash & (runtime->chain_count - 1);
}

static e64_plugin *first_chained(const e64_runtime *runtime, uint64_t hash)
{
    return runtime->chain_count
        ? runtime->file_chains[chain_of(runtime, hash)] : NULL;
}

static bool is_better(const e64_plugin *plugin, const e64_plugin *found)
{
    return !plugin->gone && (!found || plugin->turn < found->turn);
}

e64_plugin *registry_find_name(e64_runtime *runtime, const char *name)
{
    uint32_t hash = plugin_name_hash(name);
    const struct plugin_name *known = runtime->chain_count
        ? runtime->name_chains[chain_of(runtime, hash)] : NULL;
    e64_plugin *found = NULL;
    for (; known; known = known->next_chained)
        if (known->hash == hash && is_better(known->plugin, found)
            && strcmp(known->text, name) == 0)
            found = known->plugin;
    return found;
}

e64_plugin *registry_find_file(e64_runtime *runtime,
                               const struct elf_file *file)
{
    e64_plugin *found = NULL;
    for (e64_plugin *plugin
             = first_chained(runtime, hash_file(file->device, file->inode));
         plugin; plugin = plugin->next_chained)
        if (!plugin->host && elf_file_is_same(&plugin->unit.file, file)
            && is_better(plugin, found))
            found = plugin;
    return found;
}

e64_plugin *registry_find_host(e64_runtime *runtime,
                               const struct host_module *module)
{
    e64_plugin *found = NULL;
    for (e64_plugin *plugin = first_chained(runtime, mix(module->object.bias));
         plugin; plugin = plugin->next_chained)
        if (plugin->host && plugin->host->object.bias == module->object.bias
            && is_better(plugin, found))
            found = plugin;
    return found;
}

static void chain_name(struct plugin_name *name)
{
    e64_runtime *runtime = name->plugin->runtime;
    struct plugin_name **chain
        = &runtime->name_chains[chain_of(runtime, name->hash)];
    name->next_chained = *chain;
    *chain = name;
}

static void chain(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    for (struct plugin_name *name = plugin->names; name; name = name->next)
        chain_name(name);
    if (!plugin->has_file)
        return;
    e64_plugin **chain
        = &runtime->file_chains[chain_of(runtime, plugin->file_hash)];
    plugin->next_chained = *chain;
    *chain = plugin;
}

static void unchain(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    for (struct plugin_name *name = plugin->names; name; name = name->next) {
        struct plugin_name **at
            = &runtime->name_chains[chain_of(runtime, name->hash)];
        while (*at != name)
            at = &(*at)->next_chained;
        *at = name->next_chained;
    }
    if (!plugin->has_file)
        return;
    e64_plugin **at
        = &runtime->file_chains[chain_of(runtime, plugin->file_hash)];
    while (*at != plugin)
        at = &(*at)->next_chained;
    *at = plugin->next_chained;
}

// What is isolated nobody finds.
static bool is_chained(const e64_plugin *plugin)
{
    return plugin->turn && !plugin->isolated;
}

void registry_add_name(struct plugin_name *name)
{
    if (is_chained(name->plugin))
        chain_name(name);
}

enum { FEWEST_CHAINS = 16 };

// So many chains; all are made anew.
static e64_status make_chains(e64_runtime *runtime, uint32_t count)
{
    struct plugin_name **names = memory_array(count, sizeof *names);
    e64_plugin **files = memory_array(count, sizeof *files);
    if (!names || !files) {
        memory_free(names);
        memory_free(files);
        return fail_memory(count * sizeof *names);
    }
    memory_free(runtime->name_chains);
    memory_free(runtime->file_chains);
    runtime->name_chains = names;
    runtime->file_chains = files;
    runtime->chain_count = count;
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (is_chained(runtime->plugins[i]))
            chain(runtime->plugins[i]);
    return E64_OK;
}

static e64_status make_room(e64_runtime *runtime, uint32_t room)
{
    e64_plugin **plugins = memory_resize(runtime->plugins,
                                         room * sizeof *plugins);
    if (!plugins)
        return fail_memory(room * sizeof *plugins);
    runtime->plugins = plugins;
    runtime->plugin_room = room;
    return E64_OK;
}

e64_status registry_reserve(e64_runtime *runtime, uint32_t more)
{
    uint32_t count = runtime->plugin_count + more;
    uint32_t chains = runtime->chain_count ? runtime->chain_count
                                           : FEWEST_CHAINS;
    while (chains < count)
        chains *= 2;
    e64_status status = E64_OK;
    if (chains > runtime->chain_count)
        status = make_chains(runtime, chains);
    if (status == E64_OK && count > runtime->plugin_room)
        status = make_room(runtime, count + count / 2 + 8);
    return status;
}

void registry_free(e64_runtime *runtime)
{
    memory_free(runtime->plugins);
    memory_free(runtime->name_chains);
    memory_free(runtime->file_chains);
    runtime->plugins = NULL;
    runtime->plugin_room = 0;
    runtime->name_chains = NULL;
    runtime->file_chains = NULL;
    runtime->chain_count = 0;
}

void registry_unreserve(e64_runtime *runtime)
{
    if (!runtime->plugin_count)
        registry_free(runtime);
}

// What many needed is given back when few are left; nothing is wrong without
// the memory for that.
static void give_back(e64_runtime *runtime)
{
    uint32_t count = runtime->plugin_count;
    if (!count) {
        registry_free(runtime);
        return;
    }
    if (runtime->chain_count > FEWEST_CHAINS
        && count < runtime->chain_count / 4)
        make_chains(runtime, runtime->chain_count / 2);
    if (count + count / 2 + 8 < runtime->plugin_room / 2)
        make_room(runtime, count + count / 2 + 8);
}

void registry_add(e64_runtime *runtime, e64_plugin *plugin)
{
    const struct elf_file *file = &plugin->unit.file;
    runtime->plugins[runtime->plugin_count++] = plugin;
    plugin->turn = ++runtime->turns;
    plugin->depends = true;
    plugin->has_file = plugin->host || file->identified;
    plugin->file_hash = plugin->host ? mix(plugin->host->object.bias)
                      : hash_file(file->device, file->inode);
    if (is_chained(plugin))
        chain(plugin);
    if (plugin->loader) {
        plugin->next_loaded = plugin->loader->loaded;
        plugin->loaded_link = &plugin->loader->loaded;
        if (plugin->next_loaded)
            plugin->next_loaded->loaded_link = &plugin->next_loaded;
        plugin->loader->loaded = plugin;
    }
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

// Does one that was opened `global`, and is neither being closed nor this one,
// need a module of the host?
static bool is_promoted(const e64_runtime *runtime, const e64_plugin *but,
                        const struct elf_object *object)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        const e64_plugin *plugin = runtime->plugins[i];
        if (plugin == but || plugin->gone || !plugin->promotes)
            continue;
        for (uint32_t n = 0; n < plugin->scope_count; n++)
            if (plugin->scope[n] == object)
                return true;
    }
    return false;
}

bool registry_is_global(const e64_runtime *runtime,
                        const struct elf_object *object)
{
    return object->host ? is_promoted(runtime, NULL, object)
                        : !plugin_of(object)->gone;
}

static void forget_loader(e64_plugin *plugin)
{
    if (!plugin->loader)
        return;
    *plugin->loaded_link = plugin->next_loaded;
    if (plugin->next_loaded)
        plugin->next_loaded->loaded_link = plugin->loaded_link;
    plugin->loader = NULL;
}

// Where it stands: they are ascending.
static uint32_t find_place(const e64_runtime *runtime, const e64_plugin *plugin)
{
    uint32_t low = 0, high = runtime->plugin_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (runtime->plugins[middle]->turn < plugin->turn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_globals(e64_runtime *runtime, const e64_plugin *plugin)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < runtime->global_count; i++) {
        const struct elf_object *object = runtime->globals[i];
        if (object->host ? is_promoted(runtime, plugin, object)
                         : object != &plugin->unit.object)
            runtime->globals[kept++] = object;
    }
    runtime->global_count = kept;
    if (!kept) {
        memory_free(runtime->globals);
        runtime->globals = NULL;
    }
    lazy_globals_changed(runtime);
}

void registry_remove(e64_runtime *runtime, e64_plugin *plugin)
{
    uint32_t at = find_place(runtime, plugin);
    memmove(&runtime->plugins[at], &runtime->plugins[at + 1],
            (--runtime->plugin_count - at) * sizeof *runtime->plugins);
    if (is_chained(plugin))
        unchain(plugin);
    plugin->turn = 0;
    forget_loader(plugin);
    while (plugin->loaded)
        forget_loader(plugin->loaded);
    if (plugin->global || plugin->promotes)
        remove_globals(runtime, plugin);
    give_back(runtime);
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
    lazy_globals_changed(runtime);
    return E64_OK;
}
