// What each thread of the stress is doing, for the case that one never ends.

#ifndef STRESS_WATCHDOG_H
#define STRESS_WATCHDOG_H

#include <sys/types.h>

// A thread enters at a place of its own, 0 to WATCHED - 1, and leaves it.
enum { WATCHED = 256 };
void watchdog_enter(int place);
void watchdog_leave(void);

// Begins and ends something; what is begun within it stands above it. `file`
// may be 0. The text must stay.
void watchdog_push(const char *what, int file);
void watchdog_pop(void);

// Begins to watch: when a thread does the same thing for longer than that, says
// what all are doing, who waits for whom, and aborts.
void watchdog_start(int seconds);

// This is a child of fork, which nobody watches: it ends itself.
void watchdog_is_child(void);

// Says where the threads of a process are, if there is a gdb.
void watchdog_backtrace(pid_t process);

#endif
