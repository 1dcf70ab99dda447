// Who works on a plugin, and who waits for whom.

#include "work.h"

#include "../host/internals.h"

// A thread, as others wait for it, and what it waits for.
struct worker {
    const e64_plugin *plugin; // or NULL
    // By whom it was being worked on, or promised to be started, when the
    // waiting began. That thread may have given it back and ended since: it is
    // looked at only while the plugin says the same.
    const struct worker *worker;
    const struct promise *promise;
};

static __thread struct worker self __attribute__((tls_model("initial-exec")));

// Guards all of this: `worker` and `promise` of every plugin, `self` of every
// thread. A leaf: taken under a runtime's lock, and nothing is taken under it.
static struct lock lock = LOCK_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER;

static bool is_to_start(const e64_plugin *plugin)
{
    e64_state state = atomic_load(&plugin->state);
    return plugin->promise
        && (state == E64_STATE_MAPPED || state == E64_STATE_STARTING);
}

// Does the thread still wait for what it has begun to wait for?
static bool is_waiting(const struct worker *waiting)
{
    const e64_plugin *plugin = waiting->plugin;
    return plugin
        && (waiting->promise
            ? plugin->promise == waiting->promise && is_to_start(plugin)
            : plugin->worker == waiting->worker);
}

// Would this thread, if it waited for that one, wait for itself?
static bool closes_circle(const struct worker *other)
{
    while (other != &self && is_waiting(other))
        other = other->promise ? other->promise->worker : other->worker;
    return other == &self;
}

// With the lock held: waits until another thread has given the plugin back, or
// has kept its promise.
static bool wait_for(e64_plugin *plugin, const struct worker *worker,
                     const struct promise *promise)
{
    const struct worker waiting = { plugin, worker, promise };
    bool may = !host_holds_load_lock();
    while (may && is_waiting(&waiting)) {
        may = !closes_circle(promise ? promise->worker : worker);
        if (may) {
            self = waiting;
            lock_wait(&lock, &given);
            self = (struct worker){ NULL, NULL, NULL };
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
        may = wait_for(plugin, plugin->worker, NULL);
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
    bool waited = plugin->worker != &self;
    if (waited && plugin->worker)
        waited = wait_for(plugin, plugin->worker, NULL);
    else if (waited && is_to_start(plugin))
        waited = wait_for(plugin, NULL, plugin->promise);
    lock_give(&lock);
    return waited;
}

void work_promise(e64_plugin **plugins, uint32_t count,
                  struct promise *promise)
{
    lock_take(&lock);
    promise->worker = &self;
    for (uint32_t i = 0; i < count; i++)
        if (!plugins[i]->promise
            && atomic_load(&plugins[i]->state) == E64_STATE_MAPPED)
            plugins[i]->promise = promise;
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

bool work_is_promised_here(e64_plugin *plugin)
{
    lock_take(&lock);
    bool promised = is_to_start(plugin) && plugin->promise->worker == &self;
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
