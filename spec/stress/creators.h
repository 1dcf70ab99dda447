// Threads that are created in every way while plugins come and go, and what they
// find in the plugins' variables.

#ifndef STRESS_CREATORS_H
#define STRESS_CREATORS_H

// Sets `creators` threads to work, each of which creates threads and waits for
// them, two timers that create threads, and four threads that stay.
void stress_begin(long creators);

// Threads check a plugin from the one call to the other: `check` answers 0 when
// its variables are what they begin as, -1 when they are not. `enter` gives a
// place, `leave` returns when no thread is in the plugin any more.
long stress_enter(long (*check)(long first));
void stress_leave(long place);

// Waits until so many threads have been created.
void stress_wait(long threads);

// Forks; the child checks all plugins in its only thread and in a new one. 0
// when they are right.
long stress_fork(void);

// Ends all threads and says what was found: threads, stale, failed creations.
void stress_end(void);
long stress_threads(void);
long stress_stale(void);
long stress_failed(void);

#endif
