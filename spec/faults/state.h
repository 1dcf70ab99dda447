// What the process and the loader hold, to be compared.

#ifndef FAULTS_STATE_H
#define FAULTS_STATE_H

#include <stdbool.h>
#include <stddef.h>

// Lines of text; the same state gives the same text.
struct state {
    size_t size;
    char text[1 << 17];
};

enum state_kind {
    STATE_EXACT,   // all, mappings by their addresses
    STATE_AGAIN,   // but for what a success changes, however often
    STATE_LASTING, // what stays of what was done, wherever it lies
    STATE_OWN,     // what is of plugins
};
void state_take(struct state *state, enum state_kind kind);

// A mapping that malloc's heap goes on in: it grows as it likes, as the heap does.
void state_heap(unsigned long from, unsigned long to);

// Asks in a thread of its own, and waits until that is gone: one that has been
// joined is still there for a moment, and what it ran may not be unmapped.
struct scenario;
bool state_in_thread(bool (*ask)(const struct scenario *scenario),
                     const struct scenario *scenario);

// Where the process cannot be told whom to ask for frames, libgcc_s is opened at
// once, and else when somebody unwinds: which this does.
void state_unwinder(void);

// What lies in this folder is a plugin.
extern const char *state_folder;

// The first line that the two do not share, with what it is in each; NULL when
// they are the same. In a buffer that the next call overwrites.
const char *state_difference(const struct state *a, const struct state *b);

// The allocator that the loader gets. The call number `at` from now on (from 1)
// that asks for memory fails; with `all` those that follow, too. 0: none.
void state_fail(long at, bool all);
// How many calls asked for memory since then, and whether one failed.
long state_asked(void);
bool state_failed(void);
void state_allocator(void);

#endif
