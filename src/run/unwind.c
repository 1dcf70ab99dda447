// Shows plugins to whoever unwinds.
//
// Since 2.35 glibc has _dl_find_object, and the unwinders of gcc since 12 ask
// it for each frame. Other unwinders walk dl_iterate_phdr. Both are imports of
// the host's modules, and are pointed to functions of ours that know plugins,
// too. An unwinder that has neither import is told of each plugin's frames.

#include "unwind.h"

#include <string.h>

#include "../host/unwinder.h"
#include "../tls/tls.h"
#include "addresses.h"
#include "frames.h"

// ---------------------------------------------------------- the answers ---

// What plugins call for their thread-local variables is in no object.
static bool find_access(void *address, struct dl_find_object *result)
{
    static struct link_map nameless = { .l_name = "" };
    struct tls_range range;
    if (!tls_access_range((uintptr_t)address, &range))
        return false;
    memset(result, 0, sizeof *result);
    result->dlfo_map_start = (void *)range.start;
    result->dlfo_map_end = (void *)range.end;
    result->dlfo_link_map = &nameless;
    result->dlfo_eh_frame = (void *)range.frames;
    return true;
}

static int find_own(void *address, struct dl_find_object *result)
{
    unsigned ticket = addresses_enter();
    const struct address_entry *entry = addresses_find((uintptr_t)address);
    bool found = entry && entry->unwind;
    if (found) {
        memset(result, 0, sizeof *result);
        result->dlfo_map_start = (void *)entry->start;
        result->dlfo_map_end = (void *)atomic_load(&entry->end);
        result->dlfo_link_map = &entry->plugin->map;
        result->dlfo_eh_frame = (void *)entry->unwind;
    }
    addresses_leave(ticket);
    return found || find_access(address, result) ? 0 : -1;
}

static struct unwind_copy self = {
    .find = find_own,
    .walk = phdr_walk,
    .counts = addresses_counts,
    .find_entry = unwind_find_object,
    .walk_entry = unwind_iterate_phdr,
};

// The list of copies that this one belongs to: its own at first.
struct copies {
    _Atomic(struct unwind_copy *) first;
};
static struct copies alone = { &self };
static _Atomic(struct copies *) copies = &alone;

struct unwind_copy *unwind_copies(void)
{
    return atomic_load(&atomic_load(&copies)->first);
}

int unwind_find_object(void *address, struct dl_find_object *result)
{
    if (host_is_question(address)) {
        host_answer(result, atomic_load(&copies));
        return 0;
    }
    for (const struct unwind_copy *copy = unwind_copies(); copy;
         copy = atomic_load(&copy->next))
        if (copy->find(address, result) == 0)
            return 0;
    return host_find_object(address, result);
}

// ---------------------------------------------------- the host's imports ---

// Another copy's list becomes ours.
static void join(struct copies *others)
{
    struct copies *ours = atomic_load(&copies);
    if (others == ours || ours != &alone
        || !atomic_compare_exchange_strong(&copies, &ours, others))
        return;
    struct unwind_copy *first = atomic_load(&others->first);
    do
        atomic_store(&self.next, first);
    while (!atomic_compare_exchange_strong(&others->first, &first, &self));
}

// What is another copy's stays, for it answers for all copies.
static bool leave_find(void *standing)
{
    void *others;
    if (!host_ask_copy((host_find_function *)standing, &others))
        return false;
    join(others);
    return true;
}

static bool leave_walk(void *standing)
{
    for (const struct unwind_copy *copy = unwind_copies(); copy;
         copy = atomic_load(&copy->next))
        if (standing == (void *)copy->walk_entry)
            return true;
    return false;
}

struct pass {
    const struct host_module *told[FRAMES_MOST_UNWINDERS];
    struct host_registrar registrars[FRAMES_MOST_UNWINDERS];
    uint32_t told_count;
};

static e64_status redirect_find(void *data, const struct host_module *module)
{
    struct pass *pass = data;
    uint32_t count;
    e64_status status = host_redirect(module, HOST_FIND_OBJECT,
                                      (void *)unwind_find_object, leave_find,
                                      &count);
    if (status == E64_OK && pass->told_count < FRAMES_MOST_UNWINDERS
        && host_registrar(module, &pass->registrars[pass->told_count]))
        pass->told[pass->told_count++] = module;
    return status;
}

static e64_status redirect_walk(void *data, const struct host_module *module)
{
    uint32_t count;
    (void)data;
    return host_redirect(module, HOST_ITERATE_PHDR,
                         (void *)unwind_iterate_phdr, leave_walk, &count);
}

// The first round finds other copies, whose functions the second one must know.
static e64_status redirect_all(const struct host_snapshot *snapshot)
{
    struct pass pass = { .told_count = 0 };
    e64_status status = host_visit(snapshot, redirect_find, &pass);
    if (status == E64_OK)
        status = host_visit(snapshot, redirect_walk, &pass);
    for (uint32_t i = 0; status == E64_OK && i < pass.told_count; i++)
        status = frames_add_unwinder(pass.told[i], &pass.registrars[i]);
    if (status == E64_OK)
        host_visited(snapshot);
    return status;
}

static atomic_bool active;     // there has been a plugin to be unwound
static atomic_ullong seen = 0; // glibc's count of additions, all looked at

static e64_status refresh(void)
{
    struct host_snapshot *snapshot;
    struct host_hold hold;
    e64_status status = host_hold(&snapshot, &hold);
    if (status != E64_OK)
        return status;
    uint64_t adds = snapshot->adds;
    if (adds != atomic_load(&seen))
        status = redirect_all(snapshot);
    if (status == E64_OK)
        atomic_store(&seen, adds);
    host_let_go(&hold);
    host_snapshot_release(snapshot);
    return status;
}

e64_status unwind_follow(const struct host_snapshot *snapshot)
{
    // The snapshot is of a moment ago, which is as good as of now.
    if (!atomic_load(&active) || atomic_load(&seen) == snapshot->adds)
        return E64_OK;
    return refresh();
}

// Whoever comes to unwind from now on asks us: libgcc_s, which glibc opens
// itself for pthread_cancel and backtrace, or a library that the host opens and
// that has an unwinder of its own. Where that cannot be, libgcc_s comes now.
// dl_iterate_phdr is last, as other copies rely on it.
static e64_status come_first(const struct host_snapshot *snapshot)
{
    host_detour_resolve(snapshot);
    return host_redefine(snapshot, HOST_FIND_OBJECT,
                         (void *)unwind_find_object, leave_find)
        && host_redefine(snapshot, HOST_ITERATE_PHDR,
                         (void *)unwind_iterate_phdr, leave_walk)
         ? E64_OK : host_open_unwinder();
}

static bool can_unwind(e64_plugin *const *plugins, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (plugins[i]->unit.image.unwind.vaddr)
            return true;
    return false;
}

e64_status unwind_publish(e64_plugin *const *plugins, uint32_t count,
                          const struct host_snapshot *snapshot)
{
    e64_status status = addresses_add(plugins, count);
    if (status != E64_OK || !can_unwind(plugins, count))
        return status;
    // Two threads may do so at once, which does no harm.
    if (!atomic_load(&active)) {
        status = come_first(snapshot);
        if (status != E64_OK)
            return status;
        atomic_store(&active, true);
    }
    status = unwind_follow(snapshot);
    if (status == E64_OK)
        status = host_redirect_again();
    return status == E64_OK ? frames_add(plugins, count) : status;
}

void unwind_withdraw(e64_plugin *const *plugins, uint32_t count)
{
    addresses_remove(plugins, count);
    frames_remove(plugins, count);
}
