// What return addresses look like on this machine. Signal handlers use it, so
// nothing of libc is called.

#ifndef RUN_STACKS_X86_64_H
#define RUN_STACKS_X86_64_H

#include <stddef.h>

#include "stacks.h"

// What the words of a stack hold: by owner, in `found`, one address.
struct stack_scan {
    const struct stack_search *search;
    atomic_uintptr_t *found;
    // Where the stack goes on below a signal handler that has one of its own
    // (sigaltstack); 0 while no such handler has been seen.
    uintptr_t elsewhere;
};

// Where the thread goes on.
void stack_note(const struct stack_scan *scan, uintptr_t address);

// Looks at words of a stack, the first of which is at `address`: for the
// addresses after calls, and for those at which a signal handler has
// interrupted something, which takes up to STACK_BEYOND words more. True when
// the stack ends among them: with the descriptor of its thread, where glibc has
// made it.
enum { STACK_BEYOND = 24 };
bool stack_words(struct stack_scan *scan, const uintptr_t *words, size_t count,
                 uintptr_t address);

#endif
