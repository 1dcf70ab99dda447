// What glibc has mapped at this moment, kept until glibc's counts change.

#include "detour.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "../elf/hash_set.h"
#include "../error.h"
#include "../forks.h"
#include "../limit.h"
#include "../lock.h"
#include "../memory.h"

// A leaf lock: only the pointer and its count are touched under it.
static struct lock lock = LOCK_INITIALIZER;
static struct host_snapshot *current;

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

static const struct fork_part fork_part = { before_fork, after_fork };

struct host_snapshot *host_snapshot_cached(void)
{
    lock_take(&lock);
    struct host_snapshot *snapshot = current;
    if (snapshot)
        host_snapshot_retain(snapshot);
    lock_give(&lock);
    return snapshot;
}

void host_snapshot_cache(struct host_snapshot *snapshot)
{
    forks_watch(FORK_SNAPSHOT, &fork_part);
    host_snapshot_retain(snapshot);
    lock_take(&lock);
    struct host_snapshot *old = current;
    current = snapshot;
    lock_give(&lock);
    if (old)
        host_snapshot_release(old);
}

struct host_snapshot *host_snapshot_lasting(uint32_t *count)
{
    struct host_snapshot *snapshot = host_snapshot_cached();
    *count = 0;
    while (snapshot && *count < snapshot->global_count
           && host_module_of(snapshot->globals[*count])->startup)
        ++*count;
    return snapshot;
}

struct host_snapshot *host_snapshot_retain(struct host_snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->count, 1);
    return snapshot;
}

static void free_set(struct hash_set *set)
{
    if (set)
        hash_set_free(set);
    memory_free(set);
}

// To add a symbol takes as long as asking one object for a name.
static struct hash_set *make_set(const struct host_snapshot *snapshot,
                                 uint64_t lookups)
{
    uint64_t symbols = 0;
    for (uint32_t i = 0; i < snapshot->global_count; i++) {
        const struct elf_symbols *tables = snapshot->globals[i]->symbols;
        if (!tables->gnu_buckets && tables->sysv_buckets)
            return NULL;
        symbols += elf_hashes(tables).size / 4;
        if (symbols > lookups * snapshot->global_count)
            return NULL;
    }
    // A page: to look into all of them for one name in four takes less than to
    // touch more memory.
    struct hash_set *set = memory_new(sizeof *set);
    if (!set || !hash_set_new(set, symbols / 4)) {
        memory_free(set);
        return NULL;
    }
    for (uint32_t i = 0; i < snapshot->global_count; i++)
        hash_set_add(set, snapshot->globals[i]->symbols);
    return set;
}

const struct hash_set *host_defined(struct host_snapshot *snapshot,
                                    uint64_t lookups)
{
    struct hash_set *known = atomic_load(&snapshot->defined);
    if (known)
        return known;
    struct hash_set *made = make_set(snapshot, lookups);
    if (!made || atomic_compare_exchange_strong(&snapshot->defined, &known,
                                                made))
        return made;
    free_set(made);
    return known;
}

void host_snapshot_release(struct host_snapshot *snapshot)
{
    if (atomic_fetch_sub(&snapshot->count, 1) != 1)
        return;
    for (uint32_t i = 0; i < snapshot->module_count; i++)
        host_module_release(snapshot->modules[i]);
    free_set(atomic_load(&snapshot->defined));
    memory_free(snapshot->modules);
    memory_free(snapshot->globals);
    memory_free(snapshot);
}

struct generation {
    uint64_t adds, subs;
};

static int read_generation(struct dl_phdr_info *info, size_t size, void *data)
{
    struct generation *generation = data;
    (void)size;
    generation->adds = info->dlpi_adds;
    generation->subs = info->dlpi_subs;
    return 1;
}

bool host_snapshot_current(const struct host_snapshot *snapshot)
{
    struct generation now = { 0, 0 };
    host_iterate_phdr(read_generation, &now);
    return now.adds == snapshot->adds && now.subs == snapshot->subs;
}

struct collection {
    struct host_snapshot *snapshot;
    const struct host_snapshot *before; // or NULL
    uint32_t room;
    bool failed;
};

// The record of an object that was there before. After a dlclose its place may
// have been taken by another, so then only what never goes is taken over.
static struct host_module *known(const struct collection *collection,
                                 const struct dl_phdr_info *info)
{
    const struct host_snapshot *before = collection->before;
    uint32_t at = collection->snapshot->module_count;
    if (!before)
        return NULL;
    for (uint32_t n = 0; n < before->module_count; n++) {
        // It is most likely at the same place in the list.
        uint32_t i = (at + n) % before->module_count;
        struct host_module *module = before->modules[i];
        if (module->object.bias != info->dlpi_addr
            || !(module->startup || before->subs == info->dlpi_subs)
            || (info->dlpi_name[0]
                && strcmp(info->dlpi_name, module->path) != 0))
            continue;
        atomic_fetch_add(&module->count, 1);
        return module;
    }
    return NULL;
}

// Called by glibc with its list locked: nothing in it can go away meanwhile.
static int collect(struct dl_phdr_info *info, size_t size, void *data)
{
    struct collection *collection = data;
    struct host_snapshot *snapshot = collection->snapshot;
    (void)size;
    snapshot->adds = info->dlpi_adds;
    snapshot->subs = info->dlpi_subs;
    if (snapshot->module_count == collection->room) {
        uint32_t room = collection->room ? 2 * collection->room : 32;
        struct host_module **modules
            = memory_resize(snapshot->modules, room * sizeof *modules);
        if (!modules) {
            collection->failed = true;
            return 1;
        }
        snapshot->modules = modules;
        collection->room = room;
    }
    struct host_module *module = known(collection, info);
    if (!module)
        module = host_module_read(info);
    if (!module) {
        collection->failed = true;
        return 1;
    }
    // The executable is first, and is never closed: it needs no handle, for
    // which glibc would open its file.
    if (snapshot->module_count == 0)
        module->startup = module->global = true;
    snapshot->modules[snapshot->module_count++] = module;
    return 0;
}

e64_status host_snapshot_collect(const struct host_snapshot *before,
                                 struct host_snapshot **collected)
{
    struct host_snapshot *snapshot = memory_new(sizeof *snapshot);
    if (!snapshot)
        return fail_memory(sizeof *snapshot);
    atomic_init(&snapshot->count, 1);
    struct collection collection = { .snapshot = snapshot, .before = before };
    host_iterate_phdr(collect, &collection);
    if (collection.failed) {
        host_snapshot_release(snapshot);
        return fail(E64_NOMEMORY, "out of memory while reading the host's "
                    "objects");
    }
    *collected = snapshot;
    return E64_OK;
}

e64_status host_snapshot(struct host_snapshot **snapshot)
{
    struct host_snapshot *before = host_snapshot_cached();
    if (before && host_snapshot_current(before) && !host_promoted(before)) {
        *snapshot = before;
        return E64_OK;
    }
    if (before)
        host_snapshot_release(before);
    struct host_hold hold;
    e64_status status = host_hold(snapshot, &hold);
    if (status == E64_OK)
        host_let_go(&hold);
    return status;
}

struct host_module *host_find(const struct host_snapshot *snapshot,
                              const char *name)
{
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        const char *soname = module->object.soname;
        if (strcmp(name, module->path) == 0)
            return module;
        if (soname && strcmp(name, soname) == 0)
            return module;
        const char *base = soname || i == 0 ? NULL
                         : strrchr(module->path, '/');
        if (base && strcmp(name, base + 1) == 0)
            return module;
    }
    return NULL;
}

static e64_status identify(struct host_module *module)
{
    struct stat stat_;
    if (atomic_load(&module->identified))
        return E64_OK;
    // A path such as /proc/self/fd/5 leads to another file by now, maybe to
    // the one that is asked for: anchors are opened by such.
    bool lasting = module->path[0] == '/'
                && strncmp(module->path, "/proc/", 6) != 0;
    if (lasting && stat(module->path, &stat_) == 0) {
        module->device = stat_.st_dev;
        module->inode = stat_.st_ino;
        atomic_store(&module->identified, 1);
    } else if (lasting && limit_is_passing(errno)) {
        // It would be mapped a second time if it is what is looked for.
        return fail_system("%s: it cannot be found out which file that is",
                           module->path);
    } else {
        atomic_store(&module->identified, -1);
    }
    return E64_OK;
}

e64_status host_find_file(const struct host_snapshot *snapshot, dev_t device,
                          ino_t inode, struct host_module **found)
{
    e64_status status = E64_OK;
    *found = NULL;
    for (uint32_t i = 0; status == E64_OK && !*found
                         && i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        status = identify(module);
        if (atomic_load(&module->identified) > 0 && module->inode == inode
            && module->device == device)
            *found = module;
    }
    return status;
}

struct host_module *host_containing(const struct host_snapshot *snapshot,
                                    uintptr_t address)
{
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct elf_object *object = &snapshot->modules[i]->object;
        if (address >= object->start && address < object->end)
            return snapshot->modules[i];
    }
    return NULL;
}
