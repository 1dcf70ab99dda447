// Takes the time that constructors need out of what glibc's dlopen needs.
//
// glibc offers no hook between relocating and initialising. But it calls an
// empty function, r_debug.r_brk, when the new objects are mapped and not yet
// relocated; debuggers put a breakpoint there. A jump is put there instead,
// and what it leads to redirects DT_INIT and DT_INIT_ARRAY of each new object,
// in its mapped dynamic section, to stubs that run the real ones and measure
// them. glibc reads these entries only when it initialises the object. What the
// redirection itself takes is measured too.

#ifndef CONSTRUCTORS_H
#define CONSTRUCTORS_H

#include <link.h>
#include <stdint.h>

// Nanoseconds of a clock that only grows.
int64_t now(void);

// What debuggers read about this process: glibc's list of objects.
const struct r_debug *debug_state(void);

// Ends the process with a message where it cannot be done.
void constructors_install(void);

// From here on new objects are redirected and the counts start at zero.
void constructors_watch(void);

struct constructors {
    int64_t mapped;   // the time when the new objects were mapped; 0: never
    int64_t running;  // spent in constructors
    int64_t watching; // spent in the redirection
};

// The counts since constructors_watch. Nothing is redirected any more.
struct constructors constructors_stop(void);

#endif
