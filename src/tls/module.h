// The modules that have thread-local storage, for the files of this room.

#ifndef TLS_MODULE_H
#define TLS_MODULE_H

#include <stdatomic.h>

#include "tls.h"

// Set in every module number of ours. glibc counts its own from 1.
#define TLS_OURS (1ull << 40)

struct tls_module {
    struct tls_image image;
    // Odd while in use; a block of another generation belongs to a module that
    // had the number before.
    atomic_ullong generation;
};

// The module of a number without TLS_OURS, or NULL. Takes no lock.
struct tls_module *tls_module_at(uint64_t number);

// Frees the blocks of that number in all threads.
void tls_blocks_drop(uint64_t number);

#endif
