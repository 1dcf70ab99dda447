// The modules that have thread-local storage, for the files of this room.

#ifndef TLS_MODULE_H
#define TLS_MODULE_H

#include <stdatomic.h>

#include "pool.h"
#include "tls.h"

// Added to every module number of ours. glibc counts its own from 1.
#define TLS_OURS (1ull << 30)

// A number counts from 1 to below this.
enum { TLS_NUMBERS = 16384 };

struct tls_module {
    struct tls_image image;
    _Atomic int64_t tp_offset; // of a placed module; else 0
    struct pool_place place;   // of a placed module: where in the pool
    // Guarded by modules.c's lock.
    bool used;
    bool ready; // its image is complete
    bool dirty; // its place may not be zero any more
};

// What one thread has: its blocks by module number, as their distance from its
// thread pointer. Those that it has not used are 0, and so is number 0. It has
// room for all numbers, so that nobody need ask: most of its pages are never
// touched.
struct tls_table {
    struct thread *owner; // block.c
    _Atomic int64_t blocks[TLS_NUMBERS];
};

// The module of a number, TLS_OURS taken off, or NULL. Takes no lock.
struct tls_module *tls_module_at(uint64_t number);

// Makes what a thread's blocks will need: false when there is no memory for it,
// or no key of thread-specific data left (PTHREAD_KEYS_MAX).
bool tls_blocks_prepare(void);

// Frees the blocks of that number in all threads.
void tls_blocks_drop(uint64_t number);

// Sets the module's tp_offset, unless a thread has a block of it already.
bool tls_blocks_place(uint64_t number, int64_t tp_offset);

// What tls_get_addr does when this thread has no block yet, or the module is
// glibc's.
void *tls_find_slowly(struct tls_index *index);

// The same for descriptors: assembly, see access_x86_64.c.
extern char tls_descriptor_slow[];

// Makes the functions for accesses, the first time.
void tls_access_prepare(void);

void modules_before_fork(void);
void modules_after_fork(bool child);
void blocks_before_fork(void);
void blocks_after_fork(bool child);

#endif
