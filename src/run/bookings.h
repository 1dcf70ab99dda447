// What points into plugins and is booked when it comes and when it goes: keys
// with a destructor of theirs, threads that were started in them, handlers for
// the end of threads and of the process. While there is a booking for a plugin
// it stays mapped.

#ifndef RUN_BOOKINGS_H
#define RUN_BOOKINGS_H

#include "run.h"

struct booking {
    struct booking *next, **link; // of the plugin's
    struct booking *chain;        // of those with a key like this one's
    e64_plugin *plugin;
    e64_pin_kind kind;
    const void *address; // in the plugin
    uintptr_t key;       // by which it is found when it goes
    pthread_t thread;    // of a thread, or of one's thread_local object
    int thread_number;   // its kernel's; 0 while it has not begun
};

// Books what lies at an address, for a plugin that the caller knows to be
// mapped. NULL without the memory.
struct booking *booking_new(e64_plugin *plugin, e64_pin_kind kind,
                        const void *address, uintptr_t key);

// The same for the plugin that the address lies in; *booking is NULL when it
// lies in none. False without the memory.
bool booking_at(e64_pin_kind kind, const void *address, uintptr_t key,
              struct booking **booking);

// The calling thread is what it is about.
void booking_thread(struct booking *booking);

// Ends one, or none when it is NULL. Plugins that only waited for that are
// unmapped by this call.
void booking_end(struct booking *booking);

// Takes all of a kind and key out of what is known, as a list (by `chain`);
// bookings_end ends them.
struct booking *bookings_take(e64_pin_kind kind, uintptr_t key);
void bookings_end(struct booking *taken);

// Calls `visit` with each booking on a plugin, with the bookings' lock held.
void bookings_each(const e64_plugin *plugin,
                   void (*visit)(void *data, const struct booking *booking),
                   void *data);

// For forking.c.
void bookings_before_fork(void);
void bookings_after_fork(bool child);

#endif
