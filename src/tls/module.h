// The modules that have thread-local storage, for the files of this room.

#ifndef TLS_MODULE_H
#define TLS_MODULE_H

#include <stdatomic.h>

#include "pool.h"
#include "tls.h"

// Set in every module number of ours. glibc counts its own from 1.
#define TLS_OURS (1ull << 40)

struct tls_module {
    struct tls_image image;
    // Odd while in use; a block of another generation belongs to a module that
    // had the number before.
    atomic_ullong generation;
    _Atomic int64_t tp_offset; // of a placed module; else 0
    struct pool_place place;   // of a placed module: where in the pool
    bool ready;     // its image is complete; guarded by modules.c's lock
    bool published; // and has been written to all threads, if need be
};

// A thread's block of one module.
struct tls_block {
    void *memory; // what to free; NULL for a block in the pool
    char *start;  // aligned
    uint64_t generation; // of the module; 0: there is none
};

// What one thread has.
struct tls_thread {
    uint64_t size;            // of the table, in bytes
    struct tls_block *blocks; // by module number
};

// The module of a number without TLS_OURS, or NULL. Takes no lock.
struct tls_module *tls_module_at(uint64_t number);

// Makes what a thread's blocks will need: false when there is no memory for it,
// or no key of thread-specific data left (PTHREAD_KEYS_MAX).
bool tls_blocks_prepare(void);

// Frees the blocks of that number in all threads.
void tls_blocks_drop(uint64_t number);

// Sets the module's tp_offset, unless a thread has a block of it already.
bool tls_blocks_place(uint64_t number, int64_t tp_offset);

// Chooses how descriptors save vector registers, the first time.
void tls_descriptor_prepare(void);

void modules_before_fork(void);
void modules_after_fork(bool child);
void blocks_before_fork(void);
void blocks_after_fork(bool child);

#endif
