// What a runtime defines by itself: names that its plugins find before those of
// the host.

#ifndef RUN_DEFINE_H
#define RUN_DEFINE_H

#include "run.h"

// The definitions as they are now: an object that defines them, whose record is
// the caller's to drop; NULL when there are none.
e64_status define_snapshot(e64_runtime *runtime, e64_plugin **snapshot);

// The plugin is bound to a definition of that snapshot, which therefore stays:
// E64_CHANGED when it is another one by now. Does nothing when it knows that.
e64_status define_use(e64_plugin *plugin, const e64_plugin *snapshot,
                      uint32_t symbol);
// It is being unloaded, or will not be opened.
void define_unuse(e64_plugin *plugin);

// With nothing open any more.
void define_free(e64_runtime *runtime);

// ------------------------------------------------------- cells_x86_64.c ---
// Functions that go on to another address, which can be changed. With the
// runtime's lock held.

struct cells; // some of them, or NULL

// The function, which goes on to `target`, or NULL, and a failure.
void *cell_new(struct cells **cells, void *target);
void cell_set(void *cell, void *target);
// Nobody will call it any more.
void cell_free(struct cells **cells, void *cell);
void cells_free(struct cells **cells);

#endif
