// Makes system calls of a child fail: the parent traces it (ptrace).

#ifndef FAULTS_TRACER_H
#define FAULTS_TRACER_H

#include <stdbool.h>
#include <sys/types.h>

// How a fault goes on: that call alone, or it and all that follow of its kind:
// of its name, and where it needs memory, or a descriptor, all that do.
enum tracer_mode { TRACER_ONE, TRACER_ALL };

// Where malloc's heap goes on when brk fails: in a mapping of its own (glibc's
// malloc.c: sysmalloc, MMAP_AS_MORECORE_SIZE), which it does not give back.
struct tracer_heap {
    unsigned long from, to;
};

// What became of it, told to the child by tracer_end.
struct tracer_report {
    struct tracer_heap heap; // if brk was made to fail, and that is what followed
    long number;      // of the system call that failed; -1: none did
    long error;       // with which errno
    long calls;       // that could have been made to fail, all in all
    long left_out;    // that were not counted: they cannot fail
    long afterwards;  // calls that failed after the first
};

// In the child, before anything else.
void tracer_join(void);
// From here on the call number `at` (from 1) fails, in whichever thread, with
// the errno number `variant` of those that it is given.
void tracer_begin(long at, long variant, enum tracer_mode mode);
void tracer_end(struct tracer_report *report);

// In the parent, until the child has ended. Its status as waitpid has it.
int tracer_run(pid_t child);

// "openat"; "a system call" when it is none that is made to fail.
const char *tracer_name(long number);

#endif
