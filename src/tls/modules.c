// Numbers for modules. The table is two levels deep and never moves, so that
// readers need no lock; numbers are used again, lowest first.

#include "module.h"

#include <pthread.h>

#include "../error.h"
#include "../memory.h"

enum { PER_CHUNK = 64, CHUNKS = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct tls_module *) chunks[CHUNKS];

struct tls_module *tls_module_at(uint64_t number)
{
    if (number >= PER_CHUNK * CHUNKS)
        return NULL;
    struct tls_module *chunk = atomic_load_explicit(
        &chunks[number / PER_CHUNK], memory_order_acquire);
    return chunk ? &chunk[number % PER_CHUNK] : NULL;
}

// The first number that is free, its chunk made when need be.
static e64_status find_free(uint64_t *number)
{
    for (uint64_t i = 0; i < CHUNKS; i++) {
        struct tls_module *chunk = atomic_load(&chunks[i]);
        if (!chunk) {
            chunk = memory_array(PER_CHUNK, sizeof *chunk);
            if (!chunk)
                return fail_memory(PER_CHUNK * sizeof *chunk);
            atomic_store_explicit(&chunks[i], chunk, memory_order_release);
        }
        for (uint64_t k = 0; k < PER_CHUNK; k++) {
            if (atomic_load(&chunk[k].generation) % 2 == 0) {
                *number = i * PER_CHUNK + k;
                return E64_OK;
            }
        }
    }
    return fail(E64_NOMEMORY, "%d plugins with thread-local storage are open, "
                "which is the most there can be", PER_CHUNK * CHUNKS);
}

e64_status tls_module_new(const struct tls_image *image, uint64_t *module)
{
    uint64_t number = 0;
    pthread_mutex_lock(&lock);
    e64_status status = find_free(&number);
    if (status == E64_OK) {
        struct tls_module *entry = tls_module_at(number);
        entry->image = *image;
        atomic_fetch_add_explicit(&entry->generation, 1, memory_order_release);
        *module = TLS_OURS | number;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void tls_module_free(uint64_t module)
{
    if (!module)
        return;
    uint64_t number = module & ~TLS_OURS;
    tls_blocks_drop(number);
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&tls_module_at(number)->generation, 1);
    pthread_mutex_unlock(&lock);
}
