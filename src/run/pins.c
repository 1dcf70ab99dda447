// Tells what points into plugins.

#include "pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "bookings.h"
#include "close.h"
#include "signals.h"
#include "stacks.h"

static void add(struct pin_records *records, const struct pin_record *record)
{
    if (records->count == records->room) {
        uint32_t room = records->room ? 2 * records->room : 16;
        struct pin_record *all = vital_resize(records->all,
                                              room * sizeof *all);
        if (!all) {
            records->failed = true;
            return;
        }
        records->all = all;
        records->room = room;
    }
    records->all[records->count++] = *record;
    if (record->plugin)
        plugin_hold(record->plugin);
}

void pins_free(struct pin_records *records)
{
    for (uint32_t i = 0; i < records->count; i++)
        plugin_drop(records->all[i].plugin);
    vital_free(records->all);
    *records = (struct pin_records){ 0 };
}

// ---------------------------------------------------------------- booked ---

struct booked {
    struct pin_records *records;
    uint32_t owner;
};

static void add_booking(void *data, const struct booking *booking)
{
    const struct booked *booked = data;
    bool thread = booking->kind == E64_PIN_THREAD
               || booking->kind == E64_PIN_THREAD_LOCAL;
    const struct pin_record record = {
        .kind = booking->kind, .owner = booked->owner,
        .address = booking->address, .key = booking->key,
        .number = thread ? booking->thread_number
                : booking->kind == E64_PIN_KEY ? (int64_t)booking->key : 0,
    };
    add(booked->records, &record);
}

void pins_booked(e64_plugin *plugin, uint32_t owner,
                 struct pin_records *records)
{
    struct booked booked = { records, owner };
    bookings_each(plugin, add_booking, &booked);
}

// ------------------------------------------------------------------ seen ---

static int ascending(const void *a, const void *b)
{
    const struct code_range *one = a, *other = b;
    return one->start < other->start ? -1 : one->start > other->start;
}

static struct code_range *list_code(e64_plugin *const *plugins, uint32_t count,
                                    uint32_t *ranges)
{
    uint32_t room = 0, used = 0;
    for (uint32_t i = 0; i < count; i++)
        room += plugins[i]->unit.image.load_count;
    struct code_range *code = vital_resize(NULL, (room + 1) * sizeof *code);
    for (uint32_t i = 0; i < count && code; i++) {
        const struct elf_image *image = &plugins[i]->unit.image;
        for (uint32_t k = 0; k < image->load_count; k++) {
            const struct elf_load *load = &image->loads[k];
            uintptr_t start = plugins[i]->unit.object.bias + load->vaddr;
            if (load->flags & PF_X && load->memsz)
                code[used++] = (struct code_range){
                    start, start + load->memsz, (load->flags & PF_R) != 0, i };
        }
    }
    if (used)
        qsort(code, used, sizeof *code, ascending);
    *ranges = used;
    return code;
}

// Where signal handlers return to, each once.
static uint32_t list_restorers(const struct signal_action *actions,
                               uintptr_t *restorers)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < SIGNALS; i++) {
        bool known = !actions[i].restorer;
        for (uint32_t k = 0; k < count && !known; k++)
            known = restorers[k] == actions[i].restorer;
        if (!known)
            restorers[count++] = actions[i].restorer;
    }
    return count;
}

struct sight {
    e64_runtime *runtime;
    struct pin_records *records;
};

static void add_stack(void *data, int thread, uint32_t owner,
                      uintptr_t address)
{
    const struct sight *sight = data;
    const struct pin_record record = { .kind = E64_PIN_STACK, .owner = owner,
                                       .address = (const void *)address,
                                       .number = thread };
    add(sight->records, &record);
}

// Once for a runtime: closes are many.
static void miss(void *data, const char *what)
{
    const struct sight *sight = data;
    if (!atomic_exchange(&sight->runtime->missed_told, true))
        runtime_log(sight->runtime, E64_LOG_WARNING, "plugins may be unmapped "
                    "too early: %s", what);
}

static void look_at_signals(const struct sight *sight,
                            const struct signal_action *actions,
                            const struct code_range *code, uint32_t count)
{
    for (int i = 0; i < SIGNALS; i++) {
        const uintptr_t places[] = { actions[i].handler, actions[i].restorer };
        const struct code_range *range = NULL;
        for (int k = 0; k < 2 && !range && actions[i].handler; k++)
            range = code_find(code, count, places[k]);
        if (!range)
            continue;
        const struct pin_record record = {
            .kind = E64_PIN_SIGNAL, .owner = range->owner,
            .address = (const void *)actions[i].handler, .number = i + 1 };
        add(sight->records, &record);
    }
}

void pins_seen(e64_runtime *runtime, e64_plugin *const *plugins,
               uint32_t count, const void *from, struct pin_records *records)
{
    struct signal_action actions[SIGNALS];
    uintptr_t restorers[SIGNALS];
    uint32_t ranges;
    struct sight sight = { runtime, records };
    struct code_range *code = list_code(plugins, count, &ranges);
    if (!code || !ranges) {
        records->failed |= !code;
        vital_free(code);
        return;
    }
    int error = signals_read(actions);
    if (error)
        miss(&sight, "signal handlers cannot be looked at: rt_sigaction is "
                     "refused");
    else
        look_at_signals(&sight, actions, code, ranges);
    const struct stack_search search = {
        .ranges = code, .count = ranges, .owners = count,
        .restorers = restorers,
        .restorer_count = error ? 0 : list_restorers(actions, restorers),
        .from = (uintptr_t)from,
        .report = add_stack, .miss = miss, .data = &sight,
    };
    if (!stacks_search(&search))
        records->failed = true;
    vital_free(code);
}

// ------------------------------------------------------------------ text ---

// "function+0x12" or "0x7f0123456789".
static const char *describe_code(const void *address, const e64_plugin *plugin,
                                 char *text, size_t size)
{
    e64_place place;
    if (!plugin_place((uintptr_t)address, &place) || place.plugin != plugin
        || !place.symbol)
        snprintf(text, size, "0x%llx", (unsigned long long)(uintptr_t)address);
    else if (address == place.address)
        snprintf(text, size, "%s", place.symbol);
    else
        snprintf(text, size, "%s+0x%llx", place.symbol,
                 (unsigned long long)((uintptr_t)address
                                      - (uintptr_t)place.address));
    return text;
}

static const char *reason_to_stay(const e64_plugin *plugin)
{
    if (plugin->unit.image.flags_1 & DF_1_NODELETE)
        return "its file says that it must not be unloaded (DF_1_NODELETE)";
    if (plugin->unit.image.go)
        return "it holds a Go runtime, which cannot be stopped";
    return "it was opened so that it is never unloaded (`nodelete`)";
}

void pins_tell(const struct pin_record *record, const e64_plugin *plugin,
               char *text, size_t size)
{
    char code[256];
    int number = (int)record->number;
    const char *abbreviation = sigabbrev_np(number);
    const char *other = record->plugin ? record->plugin->unit.object.name : "";
    if (record->address)
        describe_code(record->address, plugin, code, sizeof code);
    switch (record->kind) {
    case E64_PIN_HANDLE:
        snprintf(text, size, "%d handle%s not been closed", number,
                 number == 1 ? " has" : "s have");
        break;
    case E64_PIN_DEPENDENT:
        snprintf(text, size, "%s needs it or is bound to it", other);
        break;
    case E64_PIN_OPENING:
        snprintf(text, size, "an open that is under way has found it");
        break;
    case E64_PIN_RUNNING:
        snprintf(text, size, "its constructors or destructors are running");
        break;
    case E64_PIN_NODELETE:
        snprintf(text, size, "%s", reason_to_stay(plugin));
        break;
    case E64_PIN_UNIQUE:
        snprintf(text, size, "a symbol of it is one for all (STB_GNU_UNIQUE), "
                 "and is in use");
        break;
    case E64_PIN_THREAD_LOCAL:
        snprintf(text, size, "thread %d has a thread_local object to be "
                 "destroyed by %s", number, code);
        break;
    case E64_PIN_KEY:
        snprintf(text, size, "key %d of thread-specific data has the "
                 "destructor %s", number, code);
        break;
    case E64_PIN_FORK:
        snprintf(text, size, "fork calls %s", code);
        break;
    case E64_PIN_EXIT:
        snprintf(text, size, "the end of the process calls %s", code);
        break;
    case E64_PIN_SIGNAL:
        snprintf(text, size, "signal %d%s%s is handled by %s", number,
                 abbreviation ? ", SIG" : "",
                 abbreviation ? abbreviation : "", code);
        break;
    case E64_PIN_THREAD:
        snprintf(text, size, "thread %d was started at %s", number, code);
        break;
    case E64_PIN_STACK:
        if (record->address)
            snprintf(text, size, "thread %d is in it, or returns to it, at %s",
                     number, code);
        else
            snprintf(text, size, "thread %d runs and does not tell where",
                     number);
        break;
    case E64_PIN_LEAKED:
        snprintf(text, size, "it was in use when it was closed, and its "
                 "runtime leaks such plugins");
        break;
    }
}

// --------------------------------------------------------------- telling ---

struct dependents {
    struct pin_records *records;
    const e64_plugin *of;
    e64_plugin *dependent;
    bool found;
};

static void compare(void *data, e64_plugin *needed)
{
    struct dependents *dependents = data;
    dependents->found |= needed == dependents->of;
}

// Those that have been stopped need it, too, as long as they are mapped. What
// stands for a host module is kept by those that are bound to that.
static void add_dependents(e64_plugin *plugin, struct pin_records *records)
{
    const e64_runtime *runtime = plugin->runtime;
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        e64_plugin *other = runtime->plugins[i];
        struct dependents dependents = { records, plugin, other, false };
        each_needed(other, compare, &dependents);
        for (uint32_t k = 0; plugin->host && k < other->kept_count; k++)
            dependents.found |= other->kept[k] == plugin->host;
        if (!dependents.found || other == plugin)
            continue;
        const struct pin_record record = { .kind = E64_PIN_DEPENDENT,
                                           .plugin = other };
        add(records, &record);
    }
}

static void add_plain(struct pin_records *records, e64_pin_kind kind,
                      int64_t number)
{
    const struct pin_record record = { .kind = kind, .number = number };
    add(records, &record);
}

// What the registry says. With the runtime's lock held.
static void add_known(e64_plugin *plugin, struct pin_records *records)
{
    e64_state state = atomic_load(&plugin->state);
    if (plugin->handles)
        add_plain(records, E64_PIN_HANDLE, plugin->handles);
    add_dependents(plugin, records);
    if (plugin->pins)
        add_plain(records, E64_PIN_OPENING, plugin->pins);
    if (state == E64_STATE_STARTING
        || (state == E64_STATE_STOPPING && plugin->depends))
        add_plain(records, E64_PIN_RUNNING, 0);
    if (plugin->unique)
        add_plain(records, E64_PIN_UNIQUE, 0);
    else if (plugin->nodelete)
        add_plain(records, E64_PIN_NODELETE, 0);
    if (plugin->leaked)
        add_plain(records, E64_PIN_LEAKED, 0);
}

// One that is being unmapped is not looked at. With the runtime's lock held,
// which it gives up.
static void add_all(e64_plugin *plugin, struct pin_records *records)
{
    add_known(plugin, records);
    bool stays = !plugin->gone || plugin->waiting;
    plugin->pins += stays;
    lock_give(&plugin->runtime->lock);
    if (stays) {
        pins_booked(plugin, 0, records);
        pins_seen(plugin->runtime, &plugin, 1, __builtin_frame_address(0),
                  records);
        close_unpinned(plugin);
    }
}

static void find(e64_plugin *plugin, struct pin_records *records)
{
    e64_runtime *runtime = plugin->runtime;
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED)
        return; // its runtime may be gone
    plugin_hold(plugin);
    lock_take(&runtime->lock);
    runtime->users++;
    if (plugin->waiting) {
        waiting_look(runtime);
        lock_take(&runtime->lock);
    }
    if (atomic_load(&plugin->state) != E64_STATE_STOPPED)
        add_all(plugin, records);
    else
        lock_give(&runtime->lock);
    lock_take(&runtime->lock);
    runtime->users--;
    runtime_leave(runtime);
    plugin_drop(plugin);
}

static const char *const names[] = {
    [E64_PIN_HANDLE] = "handle",
    [E64_PIN_DEPENDENT] = "dependent",
    [E64_PIN_OPENING] = "opening",
    [E64_PIN_RUNNING] = "running",
    [E64_PIN_NODELETE] = "nodelete",
    [E64_PIN_UNIQUE] = "unique",
    [E64_PIN_THREAD_LOCAL] = "thread_local",
    [E64_PIN_KEY] = "key",
    [E64_PIN_FORK] = "fork",
    [E64_PIN_EXIT] = "exit",
    [E64_PIN_SIGNAL] = "signal",
    [E64_PIN_THREAD] = "thread",
    [E64_PIN_STACK] = "stack",
    [E64_PIN_LEAKED] = "leaked",
};

int e64_pins(e64_plugin *plugin, int (*visit)(void *data, const e64_pin *pin),
             void *data)
{
    struct pin_records records = { 0 };
    int answer = 0;
    if (!plugin || !visit)
        return 0;
    find(plugin, &records);
    for (uint32_t i = 0; i < records.count && !answer; i++) {
        const struct pin_record *record = &records.all[i];
        char text[1024];
        pins_tell(record, plugin, text, sizeof text);
        const e64_pin pin = {
            .kind = record->kind, .name = names[record->kind],
            .message = text, .plugin = record->plugin,
            .address = record->address, .number = record->number,
        };
        answer = visit(data, &pin);
    }
    pins_free(&records);
    return answer;
}
