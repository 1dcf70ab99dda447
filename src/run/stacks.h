// Return addresses on the stacks of the process' threads.

#ifndef RUN_STACKS_H
#define RUN_STACKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Executable memory of a plugin.
struct code_range {
    uintptr_t start, end;
    bool readable; // what stands before an address in it may be looked at
    uint32_t owner;
};

// The range that an address lies in, or NULL. They ascend.
const struct code_range *code_find(const struct code_range *ranges,
                                   uint32_t count, uintptr_t address);

struct stack_search {
    const struct code_range *ranges;
    uint32_t count;
    uint32_t owners; // their numbers are less
    const uintptr_t *restorers; // where signal handlers return to
    uint32_t restorer_count;
    uintptr_t from; // where the caller's own stack is looked at from
    // Called once for each thread and owner, with one of the addresses.
    void (*report)(void *data, int thread, uint32_t owner, uintptr_t address);
    // Called with what could not be looked at.
    void (*miss)(void *data, const char *what);
    void *data;
};

// Looks at all threads. False without the memory for it.
bool stacks_search(const struct stack_search *search);

// ---------------------------------------- inquiry_x86_64.c, for stacks.c ---

// Has threads that run look at their stacks themselves. One that does not
// answer is reported for every owner, with the address 0.
bool stacks_ask(const struct stack_search *search, const int *threads,
                size_t count);

// Frees what belongs to threads that have answered late. The number of those
// that have not yet.
size_t stacks_look_after_late(void);

// For forking.c.
void stacks_before_fork(void);
void stacks_after_fork(bool child);

#endif
