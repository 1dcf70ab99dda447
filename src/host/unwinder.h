// The frames of the calling thread's stack, by glibc's unwinder.

#ifndef HOST_UNWINDER_H
#define HOST_UNWINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "../elf64load.h"

// Lets glibc open its unwinder, which it needs itself for pthread_cancel and
// backtrace, and keeps it. Where there is none, nobody unwinds; it fails where
// that could not be found out.
e64_status host_open_unwinder(void);

// Calls `visit` with each frame, the innermost first: where it goes on, and its
// stack pointer there. After the outermost frame comes one that goes on at 0;
// without it, the frames beyond the last one are not known. False when there is
// no unwinder, or glibc cannot open it.
bool host_backtrace(void (*visit)(void *data, uintptr_t address,
                                  uintptr_t stack), void *data);

#endif
