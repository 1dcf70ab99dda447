// How unwinders, garbage collectors and sanitizers of the host get to know our
// plugins, and what plugins are given in place of the functions that tell it.

#ifndef RUN_UNWIND_H
#define RUN_UNWIND_H

#include "../host/detour.h"
#include "run.h"

// What plugins' imports of _dl_find_object are bound to, and the host's after
// the first plugin: answers for plugins, passes the rest on. Lock-free, for
// signal handlers too.
int unwind_find_object(void *address, struct dl_find_object *result);

// The same for dl_iterate_phdr: the host's objects first, then ours. What is
// reported stays mapped until the callback has returned.
int unwind_iterate_phdr(host_walk_callback *callback, void *data);

// Plugins that are mapped and relocated become visible to all who unwind,
// before anything of them runs. `snapshot` is the host's as it was seen last.
e64_status unwind_publish(e64_plugin *const *plugins, uint32_t count,
                          const struct host_snapshot *snapshot);

// And invisible, before they are unmapped. Those that were not visible are left
// out.
void unwind_withdraw(e64_plugin *const *plugins, uint32_t count);

// Looks after what the host has opened since, among which may be an unwinder.
// Does nothing when that is nothing, or while no plugin is known.
e64_status unwind_follow(const struct host_snapshot *snapshot);

// ----------------------------------------- for the files of this room ---

// One copy of this loader in the process. The copies form a list, and what the
// host asks one of them it asks all. Nothing in it may change its place: copies
// of different versions meet.
struct unwind_copy {
    host_find_function *find; // its own plugins only: -1 when none
    // Calls back for its own plugins, with what is to be said of additions and
    // removals in the process.
    int (*walk)(host_walk_callback *callback, void *data, uint64_t adds,
                uint64_t subs);
    void (*counts)(uint64_t *adds, uint64_t *subs);
    // What it points the host's imports to.
    host_find_function *find_entry;
    host_walk_function *walk_entry;
    _Atomic(struct unwind_copy *) next;
};

// The first of all copies.
struct unwind_copy *unwind_copies(void);

// phdr.c
int phdr_walk(host_walk_callback *callback, void *data, uint64_t adds,
              uint64_t subs);

#endif
