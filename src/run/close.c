// Closes: what nothing needs any more is stopped, dependents first, and then
// unmapped. The cost is that of what the closed plugin needs, however many
// others are open.

#include "close.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "hooks.h"
#include "pins.h"
#include "work.h"

// A candidate is what the closed plugin keeps open. It counts who needs it.
static void add_candidate(void *data, e64_plugin *plugin)
{
    if (plugin->sweep == SWEEP_NONE) {
        plugin->sweep = SWEEP_CANDIDATE;
        plugin->needed_within = 0;
        list_add(data, plugin);
    }
    plugin->needed_within++;
}

static void keep(void *data, e64_plugin *plugin)
{
    if (plugin->sweep == SWEEP_CANDIDATE) {
        plugin->sweep = SWEEP_KEPT;
        list_add(data, plugin);
    }
}

static bool is_used(e64_plugin *plugin)
{
    // Beyond candidates, who else needs it? Circles among them do not count.
    if (plugin->handles || plugin->nodelete
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

// What a thread is to call when it ends keeps a plugin from being stopped, as
// it does under ld.so, unless that is `past`.
static bool is_to_be_called(const e64_plugin *plugin, bool past)
{
    return plugin->exits && !past;
}

// Finds what closing plugins leaves without use, in the order in which it is
// to be stopped. With the runtime's lock held.
static e64_status find_unused(e64_plugin *const *closed, uint32_t count,
                              bool past, struct plugin_list *unused)
{
    struct plugin_list candidates = { 0 }, kept = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        add_candidate(&candidates, closed[i]);
        closed[i]->needed_within = 0; // that was the close, not a plugin
    }
    for (uint32_t i = 0; i < candidates.count; i++)
        each_needed(candidates.plugins[i], add_candidate, &candidates);
    for (uint32_t i = 0; i < candidates.count; i++)
        if (is_used(candidates.plugins[i])
            || is_to_be_called(candidates.plugins[i], past))
            keep(&kept, candidates.plugins[i]);
    for (uint32_t i = 0; i < kept.count; i++)
        each_needed(kept.plugins[i], keep, &kept);
    bool failed = candidates.failed || kept.failed;
    for (uint32_t i = 0; i < candidates.count; i++) {
        if (!failed && candidates.plugins[i]->sweep == SWEEP_CANDIDATE)
            list_add(unused, candidates.plugins[i]);
        candidates.plugins[i]->sweep = SWEEP_NONE;
    }
    list_free(&candidates);
    list_free(&kept);
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
    return E64_OK;
}

// Takes them out of what can be found. What they need stays until their
// destructors have run, whoever closes it meanwhile. With the runtime's lock
// held.
static void take(e64_runtime *runtime, const struct plugin_list *unused)
{
    for (uint32_t i = 0; i < unused->count; i++) {
        unused->plugins[i]->gone = true;
        claims_add(unused->plugins[i]);
    }
    waiting_add(runtime, unused);
}

static void find_left(void *data, e64_plugin *plugin)
{
    if (!plugin->handles && !plugin->gone)
        list_add(data, plugin);
}

// Runs the destructors of plugins that were taken; then these are what only
// they still needed, since others have closed it meanwhile. With the runtime's
// lock held, which is given up in between.
static void stop(e64_runtime *runtime, struct plugin_list *taken)
{
    struct plugin_list left = { 0 };
    struct busy busy;
    busy_enter_locked(&busy, runtime);
    lock_give(&runtime->lock);
    for (uint32_t i = 0; i < taken->count; i++)
        stop_plugin(taken->plugins[i]);
    lock_take(&runtime->lock);
    busy_leave_locked(&busy);
    for (uint32_t i = 0; i < taken->count; i++) {
        taken->plugins[i]->depends = false;
        each_needed(taken->plugins[i], forget_dependent, NULL);
    }
    for (uint32_t i = 0; i < taken->count; i++)
        each_needed(taken->plugins[i], find_left, &left);
    taken->count = 0;
    if (left.count)
        find_unused(left.plugins, left.count, false, taken);
    take(runtime, taken);
    list_free(&left);
}

// Stops plugins that were taken, and unmaps what can be. With the runtime's
// lock held, which it gives up; the runtime may be gone then.
static void stop_and_unload(e64_runtime *runtime, struct plugin_list *taken)
{
    while (taken->count)
        stop(runtime, taken);
    waiting_look(runtime);
}

// ---------------------------------------------------------------- refusal ---

// Does stopping these end it?
static bool ends_with(const struct plugin_list *list,
                      const struct pin_record *record)
{
    bool ends = false;
    for (uint32_t i = 0; i < list->count && !ends; i++) {
        const struct elf_object *object = &list->plugins[i]->unit.object;
        ends = record->key >= object->start && record->key < object->end;
    }
    return ends && (record->kind == E64_PIN_FORK
                    || record->kind == E64_PIN_EXIT);
}

static e64_status name_pins(const struct plugin_list *list, const char *name,
                            const struct pin_records *records)
{
    enum { BEYOND = 32 }; // for how many there are besides
    char all[2048 + BEYOND] = "", text[1024];
    size_t used = 0;
    uint32_t named = 0, more = 0;
    for (uint32_t i = 0; i < records->count; i++) {
        const struct pin_record *record = &records->all[i];
        const e64_plugin *plugin = list->plugins[record->owner];
        const char *path = plugin->unit.object.name;
        bool other = strcmp(path, name) != 0;
        if (ends_with(list, record))
            continue;
        pins_tell(record, plugin, text, sizeof text);
        int size = snprintf(all + used, sizeof all - BEYOND - used, "%s%s%s%s",
                            named ? "; " : "", other ? path : "",
                            other ? ": " : "", text);
        if (size >= 0 && (size_t)size < sizeof all - BEYOND - used) {
            used += (size_t)size;
            named++;
        } else {
            more++;
        }
        all[used] = '\0';
    }
    if (!named)
        return E64_OK;
    if (more)
        snprintf(all + used, sizeof all - used, "; and %u more", more);
    fail(E64_INUSE, "%s: is in use, and stays open: %s", name, all);
    error_path(name);
    return E64_INUSE;
}

// Finds what is to be refused, with plugins that others cannot unmap meanwhile.
// With the runtime's lock held, which it gives up.
static e64_status refuse(e64_runtime *runtime, const char *name,
                         const struct plugin_list *list)
{
    struct pin_records records = { 0 };
    for (uint32_t i = 0; i < list->count; i++)
        list->plugins[i]->pins++;
    lock_give(&runtime->lock);
    for (uint32_t i = 0; i < list->count; i++)
        pins_booked(list->plugins[i], i, &records);
    if (list->count)
        pins_seen(runtime, list->plugins, list->count,
                  __builtin_frame_address(0), &records);
    e64_status status = records.failed ? fail_memory(sizeof *records.all)
                      : name_pins(list, name, &records);
    e64_error error;
    if (status != E64_OK)
        error_save(&error);
    pins_free(&records);
    for (uint32_t i = 0; i < list->count; i++)
        close_unpinned(list->plugins[i]);
    if (status != E64_OK)
        error_restore(&error);
    return status;
}

// Before anything is changed: may the plugin's handle be given up?
static e64_status check_refusal(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    struct plugin_list unused = { 0 };
    e64_status status = E64_OK;
    lock_take(&runtime->lock);
    if (plugin->handles == 1 && !plugin->gone) {
        plugin->handles = 0;
        status = find_unused(&plugin, 1, true, &unused);
        plugin->handles = 1;
    }
    if (status == E64_OK && unused.count)
        status = refuse(runtime, plugin->unit.object.name, &unused);
    else
        lock_give(&runtime->lock);
    list_free(&unused);
    return status;
}

// ---------------------------------------------------------------- closing ---

e64_status close_plugin(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    struct plugin_list unused = { 0 };
    e64_status status = E64_OK;
    lock_take(&runtime->lock);
    bool counted = plugin->handles > 0;
    plugin->handles -= counted;
    if (plugin->handles && !runtime->first_waiting) {
        lock_give(&runtime->lock);
        return E64_OK;
    }
    // Without the memory to find what is unused, it is as if it had not been
    // closed.
    if (!plugin->handles && !plugin->gone)
        status = find_unused(&plugin, 1, false, &unused);
    if (status != E64_OK)
        plugin->handles += counted;
    take(runtime, &unused);
    stop_and_unload(runtime, &unused);
    list_free(&unused);
    return status;
}

void close_unbooked(e64_plugin *plugin, uint32_t *bookings)
{
    e64_runtime *runtime = plugin->runtime;
    struct plugin_list unused = { 0 };
    lock_take(&runtime->lock);
    bool last = --*bookings == 0;
    if (last && bookings == &plugin->exits && !plugin->handles && !plugin->gone)
        find_unused(&plugin, 1, false, &unused);
    take(runtime, &unused);
    if (unused.count || (last && plugin->waiting))
        stop_and_unload(runtime, &unused);
    else
        runtime_leave(runtime);
    list_free(&unused);
}

void close_unpinned(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    struct plugin_list unused = { 0 };
    lock_take(&runtime->lock);
    bool again = --plugin->pins == 0 && plugin->missed;
    if (again)
        plugin->missed = false;
    if (again && !plugin->handles && !plugin->gone)
        find_unused(&plugin, 1, false, &unused);
    take(runtime, &unused);
    if (unused.count || (again && plugin->waiting))
        stop_and_unload(runtime, &unused);
    else
        runtime_leave(runtime);
    list_free(&unused);
}

// All of a runtime that is not kept by a plugin that must not be unloaded.
static e64_status find_all(e64_runtime *runtime, bool past,
                           struct plugin_list *all)
{
    struct plugin_list kept = { 0 };
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (!runtime->plugins[i]->gone)
            runtime->plugins[i]->sweep = SWEEP_CANDIDATE;
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        // The process is kept for those who have closed it, like dlopen's.
        if ((runtime->plugins[i]->nodelete && !runtime->plugins[i]->process)
            || is_to_be_called(runtime->plugins[i], past))
            keep(&kept, runtime->plugins[i]);
    for (uint32_t i = 0; i < kept.count; i++)
        each_needed(kept.plugins[i], keep, &kept);
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        if (runtime->plugins[i]->sweep == SWEEP_CANDIDATE)
            list_add(all, runtime->plugins[i]);
        runtime->plugins[i]->sweep = SWEEP_NONE;
    }
    bool failed = kept.failed || all->failed;
    list_free(&kept);
    if (failed)
        return fail_memory(sizeof *all->plugins);
    return order_stop(all->plugins, all->count);
}

// With the runtime's lock held, which it gives up.
static e64_status check_refusal_of_all(e64_runtime *runtime)
{
    struct plugin_list all = { 0 };
    e64_status status = find_all(runtime, true, &all);
    if (status == E64_OK)
        status = refuse(runtime, "the runtime", &all);
    else
        lock_give(&runtime->lock);
    list_free(&all);
    return status;
}

e64_status close_all(e64_runtime *runtime)
{
    struct plugin_list all = { 0 };
    e64_status status = E64_OK;
    lock_take(&runtime->lock);
    if (runtime->unload == E64_UNLOAD_REFUSE) {
        status = check_refusal_of_all(runtime);
        if (status != E64_OK)
            return status;
        lock_take(&runtime->lock);
    }
    status = find_all(runtime, false, &all);
    for (uint32_t i = 0; status == E64_OK && i < runtime->plugin_count; i++)
        runtime->plugins[i]->handles = 0;
    if (status == E64_OK)
        take(runtime, &all);
    else
        all.count = 0;
    stop_and_unload(runtime, &all);
    list_free(&all);
    return status;
}

// Stops all that has not been stopped, which for what is being closed means
// that it is waited for, or done here if that is what ends the process. Nothing
// is unmapped: the pins, which nobody takes back, keep what destructors close.
static void stop_all(e64_runtime *runtime)
{
    struct plugin_list all = { 0 };
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *plugin = runtime->plugins[i];
        if (plugin->gone && !plugin->depends)
            continue;
        plugin->pins++;
        list_add(&all, plugin);
    }
    e64_status status = order_stop(all.plugins, all.count);
    lock_give(&runtime->lock);
    for (uint32_t i = 0; status == E64_OK && i < all.count; i++) {
        bool taken = work_take(all.plugins[i]);
        stop_plugin(all.plugins[i]);
        if (taken)
            work_give(all.plugins[i]);
    }
    list_free(&all);
}

// The end of the process. What is still open is stopped when glibc finalises
// the object that this loader is part of: after all atexit handlers, as ld.so
// does with what dlopen opened, and last of the destructors of an executable
// that the loader is linked into (priority 101).
__attribute__((destructor(101))) static void stop_at_exit(void)
{
    for (e64_runtime *runtime = runtime_first(); runtime;
         runtime = runtime->next) {
        // Another thread may be about to tell it something.
        atomic_store(&runtime->ending, true);
        stop_all(runtime);
    }
}

e64_plugin *e64_retain(e64_plugin *plugin)
{
    if (!plugin)
        return NULL;
    lock_take(&plugin->runtime->lock);
    plugin->handles++;
    lock_give(&plugin->runtime->lock);
    return plugin;
}

static e64_status close_asked(e64_plugin *plugin)
{
    e64_status status = E64_OK;
    if (!plugin)
        return fail(E64_INVALID, "e64_close: plugin must not be NULL");
    status = hook_forbid(plugin->runtime, E64_INUSE, "closes a plugin in");
    if (status != E64_OK)
        return status;
    runtime_each_freed(waiting_look);
    if (plugin->runtime->unload == E64_UNLOAD_REFUSE)
        status = check_refusal(plugin);
    return status == E64_OK ? close_plugin(plugin) : status;
}

e64_status e64_close(e64_plugin *plugin, e64_error *error)
{
    return error_give(close_asked(plugin), error);
}
