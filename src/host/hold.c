// Keeps what a snapshot shows from being unmapped for as long as somebody looks
// at it. A module that the host closes meanwhile is finalised by whoever lets
// go of it last.

#include "internals.h"

#include "../error.h"
#include "../memory.h"
#include "glibc.h"

// Where glibc's lock is not known, chance decides: the host's pauses between
// one dlopen or dlclose and the next are longer than what is done here between
// two looks at its counts.
enum { MOST_TRIES = 1000 };

void host_let_go(struct host_hold *hold)
{
    bool locked = hold->count && host_lock_loader();
    for (uint32_t i = hold->count; i-- > 0; )
        glibc_dlclose(hold->handles[i]);
    host_unlock_loader(locked);
    memory_free(hold->handles);
    *hold = (struct host_hold){ NULL, 0 };
}

static e64_status open_handles(const struct host_snapshot *snapshot,
                               struct host_hold *hold)
{
    uint32_t count = 0;
    *hold = (struct host_hold){ NULL, 0 };
    for (uint32_t i = 0; i < snapshot->module_count; i++)
        count += !snapshot->modules[i]->startup && !snapshot->modules[i]->vdso;
    if (!count)
        return E64_OK;
    hold->handles = memory_array(count, sizeof *hold->handles);
    if (!hold->handles)
        return fail_memory(count * sizeof *hold->handles);
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (module->startup || module->vdso)
            continue;
        void *handle;
        e64_status status = host_reopen(module, &handle);
        if (status != E64_OK) {
            host_let_go(hold);
            return status;
        }
        // NULL: it is gone, which the counts tell; or a destructor of it has
        // called us, and it is there until we return.
        if (handle)
            hold->handles[hold->count++] = handle;
    }
    return E64_OK;
}

static bool has_closable(const struct host_snapshot *snapshot)
{
    bool has = false;
    for (uint32_t i = 0; i < snapshot->module_count && !has; i++)
        has = !snapshot->modules[i]->startup && !snapshot->modules[i]->vdso;
    return has;
}

// Holds a snapshot. E64_CHANGED without a message when it is not current.
static e64_status try_hold(struct host_snapshot *snapshot,
                           struct host_hold *hold)
{
    if (!host_snapshot_current(snapshot))
        return E64_CHANGED;
    e64_status status = open_handles(snapshot, hold);
    if (status == E64_OK && !host_snapshot_current(snapshot)) {
        host_let_go(hold);
        status = E64_CHANGED;
    }
    return status;
}

// Takes one afresh, which `before` may help with.
static e64_status take(const struct host_snapshot *before,
                       struct host_snapshot **snapshot, struct host_hold *hold)
{
    e64_status status = host_snapshot_collect(before, snapshot);
    if (status != E64_OK)
        return status;
    status = try_hold(*snapshot, hold);
    if (status == E64_OK) {
        status = host_mark_globals(*snapshot);
        if (status == E64_OK)
            host_snapshot_cache(*snapshot);
        else
            host_let_go(hold);
    }
    if (status != E64_OK)
        host_snapshot_release(*snapshot);
    return status;
}

// The cached one, or a new one in its place.
static e64_status take_or_renew(struct host_snapshot **snapshot,
                                struct host_hold *hold)
{
    struct host_snapshot *before = host_snapshot_cached();
    e64_status status = before ? try_hold(before, hold) : E64_CHANGED;
    if (status == E64_OK) {
        if (!host_promoted(before)) {
            *snapshot = before;
            return E64_OK;
        }
        host_let_go(hold);
        status = E64_CHANGED;
    }
    if (status == E64_CHANGED)
        status = take(before, snapshot, hold);
    if (before)
        host_snapshot_release(before);
    return status;
}

// Is the cached one as it was, with nothing in it that could be closed? Then
// nobody has to be waited for.
static bool take_settled(struct host_snapshot **snapshot)
{
    struct host_snapshot *cached = host_snapshot_cached();
    if (cached && !has_closable(cached) && host_snapshot_current(cached)
        && !host_promoted(cached)) {
        *snapshot = cached;
        return true;
    }
    if (cached)
        host_snapshot_release(cached);
    return false;
}

// A thread that loses its turn in glibc's lock is waited for at each call of
// its loader: so once for all of them.
e64_status host_hold(struct host_snapshot **snapshot, struct host_hold *hold)
{
    *hold = (struct host_hold){ NULL, 0 };
    if (take_settled(snapshot))
        return E64_OK;
    e64_status status = E64_CHANGED;
    bool locked = host_lock_loader();
    for (int i = 0; status == E64_CHANGED && i < MOST_TRIES; i++)
        status = take_or_renew(snapshot, hold);
    host_unlock_loader(locked);
    return status != E64_CHANGED ? status
        : fail(E64_CHANGED, "the host opens and closes libraries all the "
               "while: there is no moment to look at what it has");
}
