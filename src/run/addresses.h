// Which plugin lies at an address: for the unwinder, for dladdr and its like,
// for our own functions that want to know who calls them.
//
// Readers take no lock and may be signal handlers. Writers wait for them, so
// that what a reader has found stays mapped until it leaves.

#ifndef RUN_ADDRESSES_H
#define RUN_ADDRESSES_H

#include <stdatomic.h>

#include "run.h"

// One mapped plugin. What a reader needs most stands here itself.
struct address_entry {
    uintptr_t start;
    atomic_uintptr_t end; // start: withdrawn
    const void *unwind;   // PT_GNU_EH_FRAME, or NULL
    e64_plugin *plugin;
};

// Makes mapped plugins known. E64_NOMEMORY changes nothing.
e64_status addresses_add(e64_plugin *const *plugins, uint32_t count);

// Makes plugins unknown, those that are not known excepted, and returns when no
// other thread can have found them. Not between the two calls below: a reader
// further up on this very stack cannot be waited for.
void addresses_remove(e64_plugin *const *plugins, uint32_t count);

// Is this thread between the two?
bool addresses_are_read(void);

// Something that readers may still be looking at, and that is freed when they
// have left. It begins with this.
struct address_retired {
    struct address_retired *next;
};
void addresses_retire(struct address_retired *block);
// Waits for that, if there is something. Not under a lock that a reader may
// wait for.
void addresses_settle(void);

// How often a plugin was added, and removed, since the process started.
void addresses_counts(uint64_t *adds, uint64_t *subs);

// What is found between the two stays mapped, and its record stays. They nest.
// The ticket that one gives the other wants.
unsigned addresses_enter(void);
void addresses_leave(unsigned ticket);

// Between the two only: the entry that an address lies in, or NULL.
const struct address_entry *addresses_find(uintptr_t address);

// Between the two only: calls `visit` with each entry until it answers
// non-zero, which is returned.
int addresses_each(int (*visit)(void *data, const struct address_entry *entry),
                   void *data);

#endif
