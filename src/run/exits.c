// What plugins register to be called when they are closed or the process ends.
//
// glibc keeps it, in the order of all that is registered. But it guards its
// list by a lock that it leaves as it was in a child of fork: a child that is
// made while another thread closes a plugin could close none. So no thread of
// ours is in that lock when a child is made, but for those that call what a
// plugin has registered: what that waits for is not known.

#include "exits.h"

#include "../forks.h"
#include "run.h"

// glibc's, which have no header.
extern int __cxa_atexit(void (*function)(void *), void *data, void *dso);
extern void __cxa_finalize(void *dso);

// Nothing of a plugin is called under it. A leaf.
static struct lock lock = LOCK_INITIALIZER;

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

static const struct fork_part fork_part = { before_fork, after_fork };

static void enter(void)
{
    forks_watch(FORK_EXITS, &fork_part);
    lock_take(&lock);
}

int exits_add(void (*function)(void *), void *data, void *dso)
{
    e64_plugin *plugin = plugin_at((uintptr_t)dso);
    if (plugin)
        atomic_store(&plugin->registers, true);
    plugin_drop(plugin);
    enter();
    int error = __cxa_atexit(function, data, dso);
    lock_give(&lock);
    return error;
}

void exits_run(void *dso)
{
    e64_plugin *plugin = plugin_at((uintptr_t)dso);
    bool calls = !plugin || atomic_load(&plugin->registers);
    plugin_drop(plugin);
    if (!calls)
        enter();
    __cxa_finalize(dso);
    if (!calls)
        lock_give(&lock);
}
