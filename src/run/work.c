// Who works on a plugin, and who waits for whom.

#include "work.h"

#include "../host/internals.h"

// A thread, as others wait for it.
struct worker {
    struct worker *awaited; // the one that it waits for, or NULL
};

static __thread struct worker self __attribute__((tls_model("initial-exec")));

// Guards all of this: `worker` of every plugin, `awaited` of every thread. A
// leaf: taken under a runtime's lock, and nothing is taken under it.
static struct lock lock = LOCK_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER;

// Would this thread, if it waited for that one, wait for itself?
static bool closes_circle(const struct worker *other)
{
    while (other && other != &self)
        other = other->awaited;
    return other != NULL;
}

// With the lock held: waits until the thread that has the plugin is not this
// one any more.
static bool wait_for(e64_plugin *plugin, struct worker *other)
{
    bool may = !host_holds_load_lock();
    while (may && plugin->worker == other) {
        may = !closes_circle(other);
        if (may) {
            self.awaited = other;
            lock_wait(&lock, &given);
            self.awaited = NULL;
        }
    }
    return may;
}

static bool is_to_start(const e64_plugin *plugin)
{
    e64_state state = atomic_load(&plugin->state);
    return plugin->promise
        && (state == E64_STATE_MAPPED || state == E64_STATE_STARTING);
}

// With the lock held.
static bool wait_for_start(e64_plugin *plugin)
{
    const struct promise *promise = plugin->promise;
    bool may = !host_holds_load_lock();
    while (may && is_to_start(plugin) && plugin->promise == promise) {
        may = !closes_circle(promise->worker);
        if (may) {
            self.awaited = promise->worker;
            lock_wait(&lock, &given);
            self.awaited = NULL;
        }
    }
    return may;
}

bool work_take(e64_plugin *plugin)
{
    bool may = true;
    lock_take(&lock);
    if (plugin->worker == &self)
        may = false;
    while (may && plugin->worker)
        may = wait_for(plugin, plugin->worker);
    if (may)
        plugin->worker = &self;
    lock_give(&lock);
    return may;
}

bool work_try(e64_plugin *plugin)
{
    lock_take(&lock);
    bool free = !plugin->worker;
    if (free)
        plugin->worker = &self;
    lock_give(&lock);
    return free;
}

void work_give(e64_plugin *plugin)
{
    lock_take(&lock);
    plugin->worker = NULL;
    pthread_cond_broadcast(&given);
    lock_give(&lock);
}

bool work_is_mine(e64_plugin *plugin)
{
    lock_take(&lock);
    bool mine = plugin->worker == &self;
    lock_give(&lock);
    return mine;
}

bool work_is_elsewhere(e64_plugin *plugin)
{
    lock_take(&lock);
    bool elsewhere = plugin->worker && plugin->worker != &self;
    lock_give(&lock);
    return elsewhere;
}

bool work_wait(e64_plugin *plugin)
{
    lock_take(&lock);
    struct worker *other = plugin->worker;
    bool waited = other ? other != &self && wait_for(plugin, other)
                        : wait_for_start(plugin);
    lock_give(&lock);
    return waited;
}

void work_promise(e64_plugin *plugin, struct promise *promise)
{
    lock_take(&lock);
    promise->worker = &self;
    plugin->promise = promise;
    lock_give(&lock);
}

void work_keep(e64_plugin **plugins, uint32_t count,
               const struct promise *promise)
{
    lock_take(&lock);
    for (uint32_t i = 0; i < count; i++)
        if (plugins[i]->promise == promise)
            plugins[i]->promise = NULL;
    pthread_cond_broadcast(&given);
    lock_give(&lock);
}

bool work_is_promised(e64_plugin *plugin)
{
    lock_take(&lock);
    bool promised = is_to_start(plugin) && plugin->promise->worker != &self;
    lock_give(&lock);
    return promised;
}

void work_before_fork(void)
{
    lock_before_fork(&lock);
}

void work_after_fork(bool child)
{
    if (child)
        given = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    lock_after_fork(&lock, child);
}

void work_forget_others(e64_plugin *plugin)
{
    if (plugin->worker != &self)
        plugin->worker = NULL;
    if (plugin->promise && plugin->promise->worker != &self)
        plugin->promise = NULL;
}
