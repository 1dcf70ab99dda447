// Closes: what nothing needs any more is stopped, dependents first, and then
// unmapped. The cost is that of what the closed plugin needs, however many
// others are open.

#include "run.h"

#include <stdlib.h>

#include "../error.h"
#include "../memory.h"
#include "unwind.h"
#include "work.h"

// A growing list of plugins, walked while it grows.
struct list {
    e64_plugin **plugins;
    uint32_t count, room;
    bool failed;
};

static void add(struct list *list, e64_plugin *plugin)
{
    if (list->count == list->room) {
        uint32_t room = list->room ? 2 * list->room : 16;
        e64_plugin **plugins = vital_resize(list->plugins,
                                            room * sizeof *plugins);
        if (!plugins) {
            list->failed = true;
            return;
        }
        list->plugins = plugins;
        list->room = room;
    }
    list->plugins[list->count++] = plugin;
}

static void each_needed(const e64_plugin *plugin,
                        void (*visit)(void *data, e64_plugin *needed),
                        void *data)
{
    for (uint32_t i = 0; i < plugin->need_count; i++)
        if (!plugin->needs[i]->host)
            visit(data, plugin_of(plugin->needs[i]));
    for (uint32_t i = 0; i < plugin->filter_count; i++)
        if (plugin->filters[i] && !plugin->filters[i]->host)
            visit(data, plugin_of(plugin->filters[i]));
    for (uint32_t i = 0; i < plugin->bound_count; i++)
        visit(data, plugin->bound[i]);
}

// A candidate is what the closed plugin keeps open. It counts who needs it.
static void add_candidate(void *data, e64_plugin *plugin)
{
    if (plugin->sweep == SWEEP_NONE) {
        plugin->sweep = SWEEP_CANDIDATE;
        plugin->needed_within = 0;
        add(data, plugin);
    }
    plugin->needed_within++;
}

static void keep(void *data, e64_plugin *plugin)
{
    if (plugin->sweep == SWEEP_CANDIDATE) {
        plugin->sweep = SWEEP_KEPT;
        add(data, plugin);
    }
}

static bool is_used(e64_plugin *plugin)
{
    // Beyond candidates, who else needs it? Circles among them do not count.
    if (plugin->handles || plugin->nodelete || plugin->exits
        || plugin->dependents > plugin->needed_within
        || atomic_load(&plugin->state) == E64_STATE_STARTING)
        return true;
    plugin->missed = plugin->pins > 0;
    return plugin->missed;
}

static void forget_dependent(void *data, e64_plugin *plugin)
{
    (void)data;
    plugin->dependents--;
}

static int by_generation(const void *a, const void *b)
{
    const e64_plugin *const *one = a, *const *other = b;
    return (*one)->generation < (*other)->generation ? -1 : 1;
}

// Finds what closing a plugin leaves without use, and takes it out of what can
// be found and needed. With the runtime's lock held.
static e64_status take_unused(e64_plugin *closed, struct list *unused)
{
    struct list candidates = { 0 }, kept = { 0 };
    add_candidate(&candidates, closed);
    closed->needed_within = 0; // that was the close, not a plugin
    for (uint32_t i = 0; i < candidates.count; i++)
        each_needed(candidates.plugins[i], add_candidate, &candidates);
    for (uint32_t i = 0; i < candidates.count; i++)
        if (is_used(candidates.plugins[i]))
            keep(&kept, candidates.plugins[i]);
    for (uint32_t i = 0; i < kept.count; i++)
        each_needed(kept.plugins[i], keep, &kept);
    bool failed = candidates.failed || kept.failed;
    for (uint32_t i = 0; i < candidates.count; i++) {
        if (!failed && candidates.plugins[i]->sweep == SWEEP_CANDIDATE)
            add(unused, candidates.plugins[i]);
        candidates.plugins[i]->sweep = SWEEP_NONE;
    }
    vital_free(candidates.plugins);
    vital_free(kept.plugins);
    if (failed || unused->failed) {
        unused->count = 0;
        return fail_memory(sizeof *unused->plugins);
    }
    // ld.so sorts from the order in which they were mapped.
    if (unused->count)
        qsort(unused->plugins, unused->count, sizeof *unused->plugins,
              by_generation);
    e64_status status = order_stop(unused->plugins, unused->count);
    if (status != E64_OK) {
        unused->count = 0;
        return status;
    }
    for (uint32_t i = 0; i < unused->count; i++) {
        unused->plugins[i]->gone = true;
        claims_add(unused->plugins[i]);
        each_needed(unused->plugins[i], forget_dependent, NULL);
    }
    return E64_OK;
}

static void unload(e64_runtime *runtime, e64_plugin *plugin)
{
    lock_take(&runtime->lock);
    registry_remove(runtime, plugin);
    unique_forget(runtime, &plugin->unit.object);
    lock_give(&runtime->lock);
    runtime_log(runtime, E64_LOG_INFO, "%s: unmapped",
                plugin->unit.object.name);
    plugin_unload(plugin);
    plugin_drop(plugin);
}

// All at once: those who look addresses up are waited for once.
static void unload_all(e64_runtime *runtime, const struct list *stopped)
{
    unwind_withdraw(stopped->plugins, stopped->count);
    for (uint32_t i = 0; i < stopped->count; i++)
        unload(runtime, stopped->plugins[i]);
}

// A destructor may have made thread_local objects, whose own destructors are to
// come, and may use all that the plugin needed: while there are such, nothing
// of the runtime is unmapped. With its lock held.
static bool must_wait(const e64_runtime *runtime)
{
    return runtime->late_exits > 0;
}

static void stop_and_unload(e64_runtime *runtime, const struct list *unused)
{
    for (uint32_t i = 0; i < unused->count; i++)
        stop_plugin(unused->plugins[i]);
    lock_take(&runtime->lock);
    bool wait = must_wait(runtime);
    for (uint32_t i = 0; i < unused->count; i++)
        unused->plugins[i]->waiting = wait;
    lock_give(&runtime->lock);
    if (!wait)
        unload_all(runtime, unused);
}

// Those that were left for later, when there is nothing to wait for any more.
static void take_waiting(e64_runtime *runtime, struct list *waiting)
{
    if (must_wait(runtime))
        return;
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (runtime->plugins[i]->waiting)
            add(waiting, runtime->plugins[i]);
    if (waiting->failed)
        waiting->count = 0; // the next one finds them again
    for (uint32_t i = 0; i < waiting->count; i++)
        waiting->plugins[i]->waiting = false;
}

e64_status close_plugin(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    struct list unused = { 0 };
    e64_status status = E64_OK;
    lock_take(&runtime->lock);
    bool counted = plugin->handles > 0;
    plugin->handles -= counted;
    // Without the memory to find what is unused, it is as if it had not been
    // closed.
    if (!plugin->handles && !plugin->gone)
        status = take_unused(plugin, &unused);
    if (status != E64_OK)
        plugin->handles += counted;
    lock_give(&runtime->lock);
    stop_and_unload(runtime, &unused);
    vital_free(unused.plugins);
    return status;
}

// Looks again at what a close has left, when the reason for that is gone. With
// the runtime's lock held, which it gives up.
static void close_left(e64_plugin *plugin, bool again)
{
    e64_runtime *runtime = plugin->runtime;
    struct list unused = { 0 }, waiting = { 0 };
    if (again && !plugin->handles && !plugin->gone)
        take_unused(plugin, &unused);
    else if (again && plugin->waiting)
        take_waiting(runtime, &waiting);
    // Once the lock is given up the plugin may be anyone's, and the runtime
    // freed, unless something is left to do here.
    bool more = unused.count || waiting.count;
    struct busy busy;
    if (more)
        busy_enter_locked(&busy, runtime);
    lock_give(&runtime->lock);
    if (more) {
        stop_and_unload(runtime, &unused);
        unload_all(runtime, &waiting);
        lock_take(&runtime->lock);
        busy_leave_locked(&busy);
        runtime_leave(runtime);
    }
    vital_free(unused.plugins);
    vital_free(waiting.plugins);
}

void close_after_exit(e64_plugin *plugin)
{
    lock_take(&plugin->runtime->lock);
    bool last = --plugin->exits == 0;
    if (last && plugin->gone)
        plugin->runtime->late_exits--;
    close_left(plugin, last);
}

void close_unpinned(e64_plugin *plugin)
{
    lock_take(&plugin->runtime->lock);
    bool again = --plugin->pins == 0 && plugin->missed;
    if (again)
        plugin->missed = false;
    close_left(plugin, again);
}

// All of a runtime that is not kept by a plugin that must not be unloaded.
static e64_status take_all(e64_runtime *runtime, struct list *all)
{
    struct list kept = { 0 };
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        plugin->handles = 0;
        if (!plugin->gone)
            plugin->sweep = SWEEP_CANDIDATE;
    }
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        // The process is kept for those who have closed it, like dlopen's.
        if ((runtime->plugins[i]->nodelete && !runtime->plugins[i]->process)
            || (runtime->plugins[i]->exits && !runtime->plugins[i]->gone))
            keep(&kept, runtime->plugins[i]);
    for (uint32_t i = 0; i < kept.count; i++)
        each_needed(kept.plugins[i], keep, &kept);
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        if (runtime->plugins[i]->sweep == SWEEP_CANDIDATE)
            add(all, runtime->plugins[i]);
        runtime->plugins[i]->sweep = SWEEP_NONE;
    }
    bool failed = kept.failed || all->failed;
    vital_free(kept.plugins);
    if (failed)
        return fail_memory(sizeof *all->plugins);
    return order_stop(all->plugins, all->count);
}

e64_status close_all(e64_runtime *runtime)
{
    struct list all = { 0 };
    lock_take(&runtime->lock);
    e64_status status = take_all(runtime, &all);
    for (uint32_t i = 0; status == E64_OK && i < all.count; i++) {
        all.plugins[i]->gone = true;
        claims_add(all.plugins[i]);
        each_needed(all.plugins[i], forget_dependent, NULL);
    }
    lock_give(&runtime->lock);
    if (status == E64_OK)
        stop_and_unload(runtime, &all);
    vital_free(all.plugins);
    return status;
}

// Stops all that is open; nothing is unmapped.
static void stop_all(e64_runtime *runtime)
{
    struct list all = { 0 };
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (!runtime->plugins[i]->gone)
            add(&all, runtime->plugins[i]);
    e64_status status = order_stop(all.plugins, all.count);
    lock_give(&runtime->lock);
    for (uint32_t i = 0; status == E64_OK && i < all.count; i++) {
        bool taken = work_take(all.plugins[i]);
        stop_plugin(all.plugins[i]);
        if (taken)
            work_give(all.plugins[i]);
    }
    vital_free(all.plugins);
}

// The end of the process. What is still open is stopped when glibc finalises
// the object that this loader is part of: after all atexit handlers, as ld.so
// does with what dlopen opened, and last of the destructors of an executable
// that the loader is linked into (priority 101).
__attribute__((destructor(101))) static void stop_at_exit(void)
{
    for (e64_runtime *runtime = runtime_first(); runtime;
         runtime = runtime->next)
        stop_all(runtime);
}

e64_plugin *e64_retain(e64_plugin *plugin)
{
    lock_take(&plugin->runtime->lock);
    plugin->handles++;
    lock_give(&plugin->runtime->lock);
    return plugin;
}

e64_status e64_close(e64_plugin *plugin, e64_error *error)
{
    e64_status status = plugin ? close_plugin(plugin)
        : fail(E64_INVALID, "e64_close: plugin must not be NULL");
    return error_give(status, error);
}
