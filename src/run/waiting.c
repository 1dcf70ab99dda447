// Plugins that are gone stay mapped until they have been stopped, and while
// something points into them or into what needs them. They are looked at when
// they have been stopped, when something that is booked has ended (bookings.h),
// and when something is opened or closed in their runtime.

#include <pthread.h>

#include "../memory.h"
#include "close.h"
#include "hooks.h"
#include "lazy.h"
#include "pins.h"
#include "unwind.h"

void list_add(struct plugin_list *list, e64_plugin *plugin)
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

void list_free(struct plugin_list *list)
{
    vital_free(list->plugins);
    *list = (struct plugin_list){ 0 };
}

void each_needed(const e64_plugin *plugin,
                 void (*visit)(void *data, e64_plugin *needed), void *data)
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

// ------------------------------------------------------------- the queue ---

void waiting_add(e64_runtime *runtime, const struct plugin_list *taken)
{
    e64_plugin **last = &runtime->first_waiting;
    while (*last)
        last = &(*last)->next_waiting;
    for (uint32_t i = 0; i < taken->count; i++) {
        taken->plugins[i]->waiting = true;
        *last = taken->plugins[i];
        last = &taken->plugins[i]->next_waiting;
    }
}

static void take_out(e64_runtime *runtime)
{
    e64_plugin **at = &runtime->first_waiting;
    while (*at) {
        e64_plugin *plugin = *at;
        if (plugin->waiting) {
            at = &plugin->next_waiting;
        } else {
            *at = plugin->next_waiting;
            plugin->next_waiting = NULL;
        }
    }
}

// -------------------------------------------------------------- unmapping ---

static void unload(e64_runtime *runtime, e64_plugin *plugin)
{
    lock_take(&runtime->lock);
    registry_remove(runtime, plugin);
    unique_forget(runtime, &plugin->unit.object);
    lock_give(&runtime->lock);
    runtime_log(runtime, E64_LOG_INFO, "%s: unmapped",
                plugin->unit.object.name);
    uint64_t begin = run_now();
    plugin_unload(plugin);
    if (plugin->known)
        hook_tell(runtime, E64_EVENT_UNMAPPED, plugin, plugin->unit.object.name,
                  hook_since(begin));
    plugin_drop(plugin);
}

// All at once: those who look addresses up are waited for once.
static void unload_all(e64_runtime *runtime, const struct plugin_list *free)
{
    unwind_withdraw(free->plugins, free->count);
    for (uint32_t i = 0; i < free->count; i++)
        unload(runtime, free->plugins[i]);
    addresses_settle();
}

// --------------------------------------------------------------- looking ---

// With the runtime's lock held.
static bool is_booked(e64_plugin *plugin)
{
    plugin->missed |= plugin->pins > 0;
    return plugin->leaked || plugin->pins || plugin->bookings || plugin->exits;
}

static void keep(void *data, e64_plugin *plugin)
{
    if (plugin->waiting && plugin->sweep != SWEEP_KEPT) {
        plugin->sweep = SWEEP_KEPT;
        list_add(data, plugin);
    }
}

// And all that they need, from this one of the list on.
static void keep_needed(struct plugin_list *kept, uint32_t from)
{
    for (uint32_t i = from; i < kept->count; i++)
        each_needed(kept->plugins[i], keep, kept);
}

// What is pinned and what that needs stays, as does what those need that have
// come to the queue since it was looked at or are still being stopped. Without
// the memory to find that out, all does. With the runtime's lock held.
static void divide(e64_runtime *runtime, const struct pin_records *records,
                   struct plugin_list *waiting)
{
    struct plugin_list kept = { 0 }, free = { 0 };
    bool leak = runtime->unload == E64_UNLOAD_LEAK;
    for (uint32_t i = 0; i < waiting->count; i++)
        waiting->plugins[i]->sweep = SWEEP_CANDIDATE;
    for (uint32_t i = 0; i < records->count; i++)
        keep(&kept, waiting->plugins[records->all[i].owner]);
    for (uint32_t i = 0; i < waiting->count; i++)
        if (is_booked(waiting->plugins[i]))
            keep(&kept, waiting->plugins[i]);
    keep_needed(&kept, 0);
    uint32_t pinned = kept.count;
    for (e64_plugin *plugin = runtime->first_waiting; plugin;
         plugin = plugin->next_waiting)
        if (plugin->sweep == SWEEP_NONE)
            keep(&kept, plugin);
    keep_needed(&kept, pinned);
    for (uint32_t i = 0; i < waiting->count; i++)
        if (waiting->plugins[i]->sweep == SWEEP_CANDIDATE)
            list_add(&free, waiting->plugins[i]);
    bool failed = kept.failed || free.failed || records->failed;
    for (uint32_t i = 0; i < pinned && !failed && leak; i++)
        kept.plugins[i]->leaked = true;
    for (uint32_t i = 0; i < free.count && !failed; i++)
        free.plugins[i]->waiting = false;
    for (e64_plugin *plugin = runtime->first_waiting; plugin;
         plugin = plugin->next_waiting)
        plugin->sweep = SWEEP_NONE;
    take_out(runtime);
    list_free(&kept);
    list_free(waiting);
    if (failed)
        list_free(&free);
    lazy_forget(runtime, free.plugins, free.count);
    *waiting = free;
}

// Those that have been stopped.
static void collect(const e64_runtime *runtime, struct plugin_list *waiting)
{
    for (e64_plugin *plugin = runtime->first_waiting; plugin;
         plugin = plugin->next_waiting)
        if (!plugin->depends)
            list_add(waiting, plugin);
    if (waiting->failed)
        waiting->count = 0; // the next time
}

// Says why a plugin stays, the first time that it does.
static void tell(e64_runtime *runtime, const struct plugin_list *waiting,
                 const struct pin_records *records)
{
    for (uint32_t i = 0; i < records->count && runtime->log; i++) {
        e64_plugin *plugin = waiting->plugins[records->all[i].owner];
        char text[1024];
        if (plugin->told)
            continue;
        plugin->told = true;
        pins_tell(&records->all[i], plugin, text, sizeof text);
        runtime_log(runtime, E64_LOG_INFO, "%s: stopped, and stays mapped: %s",
                    plugin->unit.object.name, text);
    }
}

static void look_once(e64_runtime *runtime, const void *from)
{
    struct plugin_list waiting = { 0 };
    struct pin_records records = { 0 };
    collect(runtime, &waiting);
    bool all = true;
    for (uint32_t i = 0; i < waiting.count; i++)
        all &= is_booked(waiting.plugins[i]);
    lock_give(&runtime->lock);
    for (uint32_t i = 0; i < waiting.count; i++)
        pins_booked(waiting.plugins[i], i, &records);
    if (!all)
        pins_seen(runtime, waiting.plugins, waiting.count, from, &records);
    tell(runtime, &waiting, &records);
    // What was booked may have ended.
    uint32_t seen = 0;
    for (uint32_t i = 0; i < records.count; i++)
        if (records.all[i].kind == E64_PIN_SIGNAL
            || records.all[i].kind == E64_PIN_STACK)
            records.all[seen++] = records.all[i];
    records.count = seen;
    lock_take(&runtime->lock);
    divide(runtime, &records, &waiting);
    lock_give(&runtime->lock);
    unload_all(runtime, &waiting);
    list_free(&waiting);
    pins_free(&records);
    lock_take(&runtime->lock);
}

void waiting_look(e64_runtime *runtime)
{
    int cancelling;
    // Within a callback of dl_iterate_phdr nobody can be waited for, and others
    // may be in one at what would be unmapped.
    if (!runtime->first_waiting || runtime->looking || addresses_are_read()) {
        runtime->look_again = true;
        runtime_leave(runtime);
        return;
    }
    // The kernel's files are read, where a thread may be cancelled.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    runtime->looking = true;
    runtime->looker = pthread_self();
    runtime->users++;
    do {
        runtime->look_again = false;
        // Destructors have left their return addresses below this frame.
        look_once(runtime, __builtin_frame_address(0));
    } while (runtime->look_again && runtime->first_waiting);
    runtime->looking = false;
    runtime->users--;
    runtime_leave(runtime);
    pthread_setcancelstate(cancelling, NULL);
}

void waiting_look_before(e64_runtime *runtime)
{
    runtime_each_freed(waiting_look);
    lock_take(&runtime->lock);
    waiting_look(runtime);
}
