// What points into plugins.

#ifndef RUN_PINS_H
#define RUN_PINS_H

#include "run.h"

struct pin_record {
    e64_pin_kind kind;
    uint32_t owner; // which of the plugins that were looked for
    const void *address;
    int64_t number;
    uintptr_t key;      // of a booking
    e64_plugin *plugin; // another one, held
};

struct pin_records {
    struct pin_record *all;
    uint32_t count, room;
    bool failed; // one is missing, for want of memory
};

void pins_free(struct pin_records *records);

// Adds what is booked for a plugin: bookings.h.
void pins_booked(e64_plugin *plugin, uint32_t owner,
                 struct pin_records *records);

// Adds what there is to be seen: signal handlers, return addresses on stacks.
// The plugins must stay mapped meanwhile; nothing may be locked. On this
// thread's stack what lies below `from`, a frame, does not count.
void pins_seen(e64_runtime *runtime, e64_plugin *const *plugins,
               uint32_t count, const void *from, struct pin_records *records);

// What a record says, as text.
void pins_tell(const struct pin_record *record, const e64_plugin *plugin,
               char *text, size_t size);

#endif
