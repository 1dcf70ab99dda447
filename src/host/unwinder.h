// The frames of the calling thread's stack, by glibc's unwinder.

#ifndef HOST_UNWINDER_H
#define HOST_UNWINDER_H

#include <stdbool.h>
#include <stdint.h>

// That is the handle of glibc's unwinder.
void host_know_unwinder(void *library);

// Calls `visit` with each frame, the innermost first: where it goes on, and its
// stack pointer there. After the outermost frame comes one that goes on at 0;
// without it, the frames beyond the last one are not known. False when no
// unwinder has been opened.
bool host_backtrace(void (*visit)(void *data, uintptr_t address,
                                  uintptr_t stack), void *data);

#endif
