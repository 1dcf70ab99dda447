// Finds and reads the file that a name stands for: what the runtime or the
// process has already, then the host family, then the search.

#include "provide.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../error.h"
#include "../host/internals.h"
#include "../limit.h"
#include "../memory.h"
#include "plan.h"
#include "read.h"

// A name among what this open has found so far.
static e64_plugin *find_fresh(struct discovery *discovery, const char *name)
{
    uint32_t hash = plugin_name_hash(name);
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        e64_plugin *plugin = discovery->fresh[i];
        if (!plugin->isolated && plugin_has_name(plugin, name, hash))
            return plugin;
    }
    return NULL;
}

static e64_plugin *find_fresh_file(struct discovery *discovery,
                                   const struct elf_file *file)
{
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        e64_plugin *plugin = discovery->fresh[i];
        if (!plugin->isolated && elf_file_is_same(&plugin->unit.file, file))
            return plugin;
    }
    return NULL;
}

const struct elf_object *discover_open(struct discovery *discovery,
                                       const char *name)
{
    e64_runtime *runtime = discovery->runtime;
    e64_plugin *plugin = find_fresh(discovery, name);
    if (plugin)
        return &plugin->unit.object;
    plugin = pinned_find_name(discovery, name);
    if (plugin)
        return &plugin->unit.object;
    lock_take(&runtime->lock);
    plugin = registry_find_name(runtime, name);
    if (plugin)
        pinned_add(discovery, plugin);
    lock_give(&runtime->lock);
    if (plugin)
        return plugin->host ? &plugin->host->object : &plugin->unit.object;
    struct host_module *module = host_find(discovery->snapshot, name);
    return module ? &module->object : NULL;
}

// The object that was opened from that file under whatever name, or NULL.
static e64_status find_file(struct discovery *discovery, const char *name,
                            const struct elf_file *file,
                            const struct elf_object **found)
{
    e64_runtime *runtime = discovery->runtime;
    *found = NULL;
    if (!file->identified)
        return E64_OK;
    e64_plugin *plugin = find_fresh_file(discovery, file);
    if (plugin) {
        *found = &plugin->unit.object;
        return plugin_add_name(plugin, name);
    }
    lock_take(&runtime->lock);
    plugin = registry_find_file(runtime, file);
    if (plugin)
        pinned_add(discovery, plugin);
    lock_give(&runtime->lock);
    if (plugin) {
        *found = &plugin->unit.object;
        return pinned_add_name(discovery, plugin, name);
    }
    struct host_module *module;
    e64_status status = host_find_file(discovery->snapshot, file->device,
                                       file->inode, &module);
    *found = module ? &module->object : NULL;
    return status;
}

// Only one thread at a time maps a file.
static e64_status claim(struct discovery *discovery, e64_plugin *plugin)
{
    e64_runtime *runtime = discovery->runtime;
    const struct elf_file *file = &plugin->unit.file;
    if (plugin->isolated || !file->identified)
        return E64_OK;
    lock_take(&runtime->lock);
    if (!discovery->alone) {
        e64_plugin *other = claims_find(runtime, file);
        if (other)
            discovery->awaited = plugin_hold(other);
        discovery->overtaken = registry_find_file(runtime, file) != NULL;
    }
    bool free = !discovery->awaited && !discovery->overtaken;
    if (free && !discovery->plan)
        claims_add(plugin);
    lock_give(&runtime->lock);
    return free ? E64_OK : fail(E64_CHANGED, "%s: another thread has it",
                                plugin->unit.object.name);
}

e64_status discover_add(struct discovery *discovery, e64_plugin *plugin)
{
    e64_status status = memory_grow(&discovery->fresh, discovery->fresh_count,
                                    &discovery->fresh_room, sizeof plugin);
    if (status == E64_OK)
        status = claim(discovery, plugin);
    if (status == E64_OK)
        discovery->fresh[discovery->fresh_count++] = plugin;
    return status;
}

const struct search_wanter *discover_wanters(const e64_plugin *plugin,
                                             struct search_wanter *chain)
{
    if (!plugin)
        return NULL;
    uint32_t count = 0;
    for (; plugin && count < DISCOVER_LOADERS; plugin = plugin->loader) {
        const struct elf_image *image = &plugin->unit.image;
        struct search_wanter *wanter = &chain[count++];
        *wanter = (struct search_wanter){
            .path = plugin->unit.object.name,
            .rpath = image->rpath ? elf_string(&image->symbols, image->rpath)
                                  : NULL,
            .runpath = image->runpath
                     ? elf_string(&image->symbols, image->runpath) : NULL,
            .nodeflib = image->flags_1 & DF_1_NODEFLIB,
        };
        if (count > 1)
            chain[count - 2].loader = wanter;
    }
    return chain;
}

static void note_probe(void *data, const struct search_probe *probe)
{
    struct discovery *discovery = data;
    why_probe(&discovery->why, probe);
    if (discovery->plan)
        plan_probe(discovery->plan, probe);
}

// The hook first, then as the runtime is told to search.
static e64_status open_file(struct discovery *discovery, const char *name,
                            e64_plugin *wanter, struct elf_file *file)
{
    e64_runtime *runtime = discovery->runtime;
    char *why = NULL;
    e64_status status;
    if (!wanter)
        wanter = discovery->caller;
    why_free(&discovery->why);
    if (runtime->search
        && hook_find_file(runtime, name, wanter, file, &status, &why)) {
        discovery->why.asked = true;
        if (discovery->plan)
            plan_asked(discovery->plan);
        return status;
    }
    char *path;
    status = runtime_path(runtime, &path);
    if (status != E64_OK) {
        memory_free(why);
        return status;
    }
    struct search_wanter chain[DISCOVER_LOADERS];
    struct search_request request = {
        .name = name,
        .wanter = discover_wanters(wanter, chain),
        .path = path,
        .refused = why,
        .looked = &discovery->looked,
        .probe = note_probe,
        .probe_data = discovery,
    };
    status = search_open(&request, file);
    memory_free(path);
    memory_free(why);
    return status;
}

// What glibc has just opened by `name`, or has had under another name: glibc
// knows a file by its identity and keeps the first path.
static e64_status find_opened(const struct host_snapshot *snapshot,
                              const char *name, struct host_module **module)
{
    struct stat stat_;
    *module = host_find(snapshot, name);
    if (*module || !strchr(name, '/'))
        return E64_OK;
    if (stat(name, &stat_) == 0)
        return host_find_file(snapshot, stat_.st_dev, stat_.st_ino, module);
    return limit_is_passing(errno) ? fail_system("%s: cannot stat", name)
                                   : E64_OK;
}

static bool has_module(const struct host_snapshot *snapshot,
                       const struct host_module *module)
{
    for (uint32_t i = 0; i < snapshot->module_count; i++)
        if (snapshot->modules[i] == module)
            return true;
    return false;
}

// Looks at the host again. Records of what it still has stay the same, unless
// another thread was the first to look: what has been found points to records,
// so the open begins again.
static e64_status refresh(struct discovery *discovery)
{
    struct host_snapshot *before = discovery->snapshot, *snapshot;
    struct host_hold hold;
    e64_status status = host_hold(&snapshot, &hold);
    if (status != E64_OK)
        return status;
    for (uint32_t i = 0; i < before->module_count; i++) {
        if (!has_module(snapshot, before->modules[i])) {
            host_let_go(&hold);
            host_snapshot_release(snapshot);
            return fail(E64_CHANGED, "%s: the host's libraries changed all the "
                        "while", before->modules[i]->path);
        }
    }
    host_let_go(&discovery->hold);
    host_snapshot_release(before);
    discovery->snapshot = snapshot;
    discovery->hold = hold;
    return E64_OK;
}

// An anchor is still to be made, for want of memory or descriptors.
static atomic_bool anchor_due;

// Plugins refer to the thread-local variables of libstdc++ by fixed offsets,
// which glibc can only give before they are used.
static e64_status anchor(struct discovery *discovery,
                         struct host_module *module)
{
    int64_t offset;
    if (!module->object.tls_module || module->startup
        || atomic_load(&module->tls_offset))
        return E64_OK;
    e64_status status = host_tls_offset(module, link_static_tls_type(),
                                        &offset);
    if (status == E64_OK)
        return refresh(discovery); // the anchor has joined the host
    // Where there can be none, that matters to few.
    return status == E64_NOMEMORY || limit_is_passing(
        error_pending()->system_errno) ? status : E64_OK;
}

// Lets glibc open a file and finds what it became.
static e64_status open_by_glibc(struct discovery *discovery, const char *name,
                                const char *path,
                                const struct elf_object **found)
{
    struct host_module *module = NULL;
    if (discovery->plan)
        return plan_family(discovery, name, path, found);
    atomic_store(&anchor_due, true);
    e64_status status = host_open(path);
    if (status == E64_OK)
        status = refresh(discovery);
    if (status == E64_OK)
        status = find_opened(discovery->snapshot, name, &module);
    if (status == E64_OK && !module)
        status = find_opened(discovery->snapshot, path, &module);
    if (status == E64_OK && !module)
        return fail(E64_CHANGED, "%s: glibc opened it, and it is gone already",
                    name);
    if (status == E64_OK)
        status = anchor(discovery, module);
    if (status != E64_OK)
        return status;
    *found = &module->object;
    atomic_store(&anchor_due, false);
    return E64_OK;
}

e64_status discover_by_glibc(struct discovery *discovery, const char *name,
                             e64_plugin *wanter,
                             const struct elf_object **found)
{
    struct elf_file file;
    e64_status status = open_file(discovery, name, wanter, &file);
    if (status != E64_OK)
        return status;
    status = find_file(discovery, name, &file, found);
    if (status == E64_OK && !*found)
        status = open_by_glibc(discovery, name, file.name, found);
    elf_file_close(&file);
    return status;
}

// The host family is opened by glibc. Of it, libgcc_s and libstdc++ by the path
// that the plugin's own search gives, as ld.so would find them.
static e64_status open_family(struct discovery *discovery, const char *name,
                              e64_plugin *wanter,
                              const struct elf_object **found)
{
    return host_is_compiler_family(name)
         ? discover_by_glibc(discovery, name, wanter, found)
         : open_by_glibc(discovery, name, name, found);
}

// glibc starts what it opens, which must not happen to what is held.
static e64_status refuse_to_start(const e64_plugin *plugin)
{
    const char *name = plugin->unit.file.name;
    fail(E64_UNSUPPORTED, "%s: is %s by its DT_SONAME, which belongs to the "
         "host family: only glibc may open it, and would start it at once; "
         "open it without `hold` (in Lua: start = false)", name,
         plugin->unit.object.soname);
    error_path(name);
    return E64_UNSUPPORTED;
}

// The hook has seen a private copy, and glibc reads the file again.
static e64_status refuse_unseen(const e64_plugin *plugin)
{
    const char *name = plugin->unit.file.name;
    fail(E64_DENIED, "%s: is %s by its DT_SONAME, which belongs to the host "
         "family: only glibc may open it, and would read the file again, which "
         "need not be what `verify` has seen; open it by its DT_SONAME, or "
         "have the program open it before", name,
         plugin->unit.object.soname);
    error_path(name);
    return E64_DENIED;
}

// Who has one of that name already has no use for a second one.
static e64_status give_to_host(struct discovery *discovery, e64_plugin *plugin,
                               const struct elf_object **found)
{
    const char *soname = plugin->unit.object.soname;
    struct host_module *module = host_find(discovery->snapshot, soname);
    discovery->fresh_count--; // the last one that was added
    lock_take(&discovery->runtime->lock);
    claims_remove(plugin);
    lock_give(&discovery->runtime->lock);
    e64_status status = E64_OK;
    if (module)
        *found = &module->object;
    else if (discovery->runtime->hooks.verify)
        status = refuse_unseen(plugin);
    else if (discovery->hold_back)
        status = refuse_to_start(plugin);
    else
        status = open_by_glibc(discovery, soname, plugin->unit.file.name,
                               found);
    plugin_drop(plugin);
    return status;
}

// Says on whose behalf it was, for what a plugin needs.
static e64_status blame(e64_status status, const e64_plugin *wanter)
{
    if (status != E64_OK && wanter && !error_pending()->wanter)
        error_wanter(wanter->unit.object.name);
    return status;
}

// What a file has been opened as already, or its plugin when it is new. Takes
// the file over in any case.
static e64_status take_file(struct discovery *discovery, const char *name,
                            e64_plugin *wanter, struct elf_file *file,
                            bool isolated, e64_plugin **made,
                            const struct elf_object **found)
{
    e64_status status = E64_OK;
    *made = NULL;
    if (!isolated)
        status = find_file(discovery, name, file, found);
    if (status == E64_OK && !*found && !discovery->trusted)
        status = hook_verify(discovery->runtime, file);
    if (status != E64_OK || *found) {
        elf_file_close(file);
        return status;
    }
    status = read_plugin(discovery, name, wanter, file, isolated, made);
    if (status == E64_OK)
        *found = &(*made)->unit.object;
    return status;
}

static e64_status discover(struct discovery *discovery, const char *name,
                           e64_plugin *wanter, bool isolated,
                           const struct elf_object **found)
{
    struct elf_file file;
    e64_plugin *plugin;
    if (host_is_family(name))
        return open_family(discovery, name, wanter, found);
    e64_status status = open_file(discovery, name, wanter, &file);
    if (status == E64_OK) {
        bool answered = discovery->why.asked;
        status = take_file(discovery, name, wanter, &file, isolated, &plugin,
                           found);
        if (answered)
            status = hook_blame_search(status, name, wanter);
    }
    return status == E64_OK && plugin && read_is_family(plugin)
         ? give_to_host(discovery, plugin, found) : status;
}

e64_status discover_plain(struct discovery *discovery, const char *name,
                          e64_plugin *wanter, bool isolated,
                          const struct elf_object **found)
{
    *found = isolated ? NULL : discover_open(discovery, name);
    if (*found && (*found)->host && atomic_load(&anchor_due)
        && host_is_compiler_family(name) && !discovery->plan)
        return anchor(discovery, host_module_of(*found));
    return *found ? E64_OK
         : discover(discovery, name, wanter, isolated, found);
}

static e64_status find_name(struct discovery *discovery, const char *name,
                            e64_plugin *wanter, bool isolated,
                            const struct elf_object **found)
{
    const struct provided *rule = provide_rule(discovery, wanter, name);
    if (rule && discovery->plan)
        plan_provided(discovery->plan);
    return blame(rule ? provide_find(discovery, rule, name, wanter, isolated,
                                     found)
                 : discover_plain(discovery, name, wanter, isolated, found),
                 wanter);
}

e64_status discover_name(struct discovery *discovery, const char *name,
                         e64_plugin *wanter, bool isolated,
                         const struct elf_object **found)
{
    struct plan_step step;
    if (discovery->plan)
        plan_begin(discovery->plan, &step, name, wanter);
    e64_status status = find_name(discovery, name, wanter, isolated, found);
    return discovery->plan ? plan_end(discovery, &step, status, *found)
                           : status;
}

e64_status discover_loaded(struct discovery *discovery, const char *name,
                           const struct elf_object **found)
{
    struct elf_file file;
    const struct provided *rule = provide_rule(discovery, NULL, name);
    *found = provide_open(discovery, rule, name);
    if (*found || provide_is_made(rule))
        return E64_OK;
    name = provide_name(rule, name);
    e64_status status = open_file(discovery, name, NULL, &file);
    if (status != E64_OK)
        return status;
    status = find_file(discovery, name, &file, found);
    elf_file_close(&file);
    return status;
}

e64_status discover_source(struct discovery *discovery,
                           const e64_source *source, bool isolated,
                           const struct elf_object **found)
{
    struct elf_file file;
    e64_plugin *plugin;
    e64_status status = elf_file_open(source, &file);
    if (status != E64_OK)
        return status;
    const char *name = source->name ? source->name : source->path;
    status = take_file(discovery, name ? name : file.name, NULL, &file,
                       isolated, &plugin, found);
    return status == E64_OK && plugin ? read_refuse_family(plugin) : status;
}
