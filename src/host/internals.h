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

// How libc makes threads.
struct host_threads {
    void **allocate, **initialise, **deallocate; // its slots for the above
    struct host_thread_functions defined; // what binds to them, if unbound
    int protection; // that they are expected to have
    uintptr_t libc_start, libc_end;
    uintptr_t creation_start, creation_end; // the code of pthread_create
    // Where a thread's identifier (gettid) lies, from its thread pointer; 0
    // until host_find_tid has found it.
    ptrdiff_t tid;
};

// Looks for them. Calls glibc's loader: under no lock.
e64_status host_find_threads(struct host_threads *threads);

// By creating a thread.
e64_status host_find_tid(struct host_threads *threads);

// What libc calls now. libc binds its imports at the first call, so threads are
// created for that unless the calling one is `alone`: then none can be binding
// them at this moment.
e64_status host_bind_threads(const struct host_threads *threads, bool alone,
                             struct host_thread_functions *functions);

// Makes libc call these instead, the last one first, so that no thread can be
// entered that is not taken out again.
e64_status host_set_threads(const struct host_threads *threads,
                            const struct host_thread_functions *ours);

// Does libc call one of the originals again? A thread that was binding a slot
// while it was set writes what it had found.
bool host_threads_lost(const struct host_threads *threads,
                       const struct host_thread_functions *original);

// The TLS image of the object that an address lies in, or NULL, and whether
// RELRO seals it. Calls glibc's loader.
char *host_own_tls_image(const void *inside, bool *sealed);

// Has the object that an address lies in been there since the process began?
bool host_is_startup(const void *inside);

// The offset from the thread pointer of a module's thread-local storage. It has
// one when the module was there at startup, or when glibc can still place it,
// for which a relocation of `type` (an offset from the thread pointer) is made:
// E64_UNSUPPORTED when it was opened without that need and has been used.
e64_status host_tls_offset(struct host_module *module, uint32_t type,
                           int64_t *offset);

// An area of zeros in every thread's static block, at an offset from the thread
// pointer that is the same in all of them, and what it begins as in new
// threads, which may be written to. It is there for good. E64_UNSUPPORTED when
// glibc has no room for it.
e64_status host_tls_area(uint64_t size, uint32_t type, int64_t *offset,
                         char **image);

// Looks for the lock that glibc's loader holds while it opens and closes. Calls
// glibc's loader: under no lock.
void host_find_load_lock(void);

// Keeps other threads out of dlopen and dlclose, so that several calls of these
// are one to them; the calling thread may call them in between. Under no lock
// of ours. False, and nothing is kept out, when glibc is not laid out as is
// known.
bool host_lock_loader(void);
void host_unlock_loader(bool locked);

// Is the calling thread inside of dlopen or dlclose, a constructor that these
// have called, say? Then it must not wait for another thread, which may want to
// get there. True as well when glibc is not laid out as is known.
bool host_holds_load_lock(void);

#endif
