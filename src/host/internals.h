// What glibc does not publish but must be known to live beside it: how it makes
// the thread-local storage of threads, and where. All of it is looked for, and
// each function says so when it is not there.

#ifndef HOST_INTERNALS_H
#define HOST_INTERNALS_H

#include <stdbool.h>
#include <stddef.h>

#include "host.h"

// What libc.so.6 calls in ld.so for each thread (GLIBC_PRIVATE):
// _dl_allocate_tls makes a block or, given one, initialises it;
// _dl_allocate_tls_init does the latter; both give the thread pointer.
// _dl_deallocate_tls takes that.
struct host_thread_functions {
    void *(*allocate)(void *memory);
    void *(*initialise)(void *memory, bool main_thread);
    void (*deallocate)(void *thread_pointer, bool free_block);
};

// What libc calls now, once its slots are bound.
e64_status host_find_thread_functions(struct host_thread_functions *functions);
// Makes libc call these instead, the last one first, so that no thread can be
// entered that is not taken out again.
e64_status host_set_thread_functions(const struct host_thread_functions *ours);

// Where a thread's identifier (gettid) lies, counted from its thread pointer;
// -1 when it was not found.
ptrdiff_t host_tid_offset(void);

// The addresses of pthread_create's code.
e64_status host_thread_creation(uintptr_t *start, uintptr_t *end);

// The TLS image of the object that an address lies in, or NULL.
char *host_own_tls_image(const void *inside);

// The offset from the thread pointer of a module's thread-local storage. It has
// one when the module was there at startup, or when glibc can still place it,
// for which a relocation of `type` (an offset from the thread pointer) is made:
// E64_UNSUPPORTED when it was opened without that need and has been used.
e64_status host_tls_offset(struct host_module *module, uint32_t type,
                           int64_t *offset);

#endif
