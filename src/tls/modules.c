// Numbers for modules. The table is two levels deep and never moves, so that
// readers need no lock; numbers are used again, lowest first.

#include "module.h"

#include <pthread.h>

#include "../error.h"
#include "../memory.h"
#include "pool.h"
#include "threads.h"

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
        entry->published = false;
        atomic_fetch_add_explicit(&entry->generation, 1, memory_order_release);
        *module = TLS_OURS | number;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

e64_status tls_module_place(uint64_t module, const char *name)
{
    uint64_t number = module & ~TLS_OURS;
    struct tls_module *entry = tls_module_at(number);
    const struct tls_image *image = &entry->image;
    if (atomic_load(&entry->tp_offset))
        return E64_OK;
    uint64_t offset;
    e64_status status = pool_take(name, image->size, image->align, image->skew,
                                  &offset, &entry->used);
    if (status != E64_OK)
        return status;
    entry->pool_offset = offset;
    if (tls_blocks_place(number, pool_tp_offset_x86_64() + (int64_t)offset))
        return E64_OK;
    pool_give_back(offset, image->size);
    fail(E64_UNSUPPORTED, "%s: its thread-local variables are in use already, "
         "and what is opened now wants them at a fixed offset from the thread "
         "pointer; open that first", name);
    error_path(name);
    return E64_UNSUPPORTED;
}

int64_t tls_module_tp_offset(uint64_t module)
{
    struct tls_module *entry = module & TLS_OURS
        ? tls_module_at(module & ~TLS_OURS) : NULL;
    return entry ? atomic_load(&entry->tp_offset) : 0;
}

void tls_descriptor_fill(struct tls_descriptor *descriptor, uint64_t module,
                         uint64_t offset)
{
    *descriptor = (struct tls_descriptor){
        .index = { module, offset },
        .block = UINT64_MAX, // glibc's are in no table of ours
    };
    if (module & TLS_OURS) {
        uint64_t number = module & ~TLS_OURS;
        descriptor->block = number * sizeof(struct tls_block);
        descriptor->generation = tls_module_at(number)->generation;
    }
}

// Space that was never used is zero in every thread.
static bool is_zero(const struct tls_image *image)
{
    const char *bytes = image->bytes;
    for (uint64_t i = 0; i < image->filled; i++)
        if (bytes[i])
            return false;
    return true;
}

e64_status tls_module_publish(uint64_t module, const char *name)
{
    if (!tls_module_tp_offset(module))
        return E64_OK;
    struct tls_module *entry = tls_module_at(module & ~TLS_OURS);
    const struct tls_image *image = &entry->image;
    e64_status status = E64_OK;
    if (!entry->published && (entry->used || !is_zero(image)))
        status = threads_publish(name, entry->pool_offset, image->bytes,
                                 image->filled, image->size);
    entry->published = status == E64_OK;
    return status;
}

void tls_module_free(uint64_t module)
{
    if (!module)
        return;
    uint64_t number = module & ~TLS_OURS;
    struct tls_module *entry = tls_module_at(number);
    tls_blocks_drop(number);
    if (atomic_load(&entry->tp_offset))
        pool_give_back(entry->pool_offset, entry->image.size);
    pthread_mutex_lock(&lock);
    atomic_store(&entry->tp_offset, 0);
    atomic_fetch_add(&entry->generation, 1);
    pthread_mutex_unlock(&lock);
}
