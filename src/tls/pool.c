// Hands out ranges of the pool. Space that was never used is preferred, because
// it is zero in every thread and a module of zeros needs nothing more.

#include "pool.h"

#include <pthread.h>

#include "../error.h"
#include "../memory.h"

struct range {
    uint64_t start, end;
};

// Guards what follows; a leaf.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range *taken; // ascending
static uint32_t count, room;
static uint64_t touched = POOL_MARK_SIZE; // what lies beyond was never used

// The first start at or after `from` that has the wanted address modulo align.
static uint64_t fit(uint64_t from, uint64_t align, uint64_t skew)
{
    uint64_t base = (uint64_t)(uintptr_t)pool_thread_pointer_x86_64()
                  + (uint64_t)pool_tp_offset_x86_64();
    return from + ((skew - (base + from)) & (align - 1));
}

// Finds a gap at or after `from`, and where in `taken` it is.
static bool find(uint64_t from, uint64_t size, uint64_t align, uint64_t skew,
                 uint64_t *start, uint32_t *at)
{
    for (uint32_t i = 0; i <= count; i++) {
        uint64_t end = i < count ? taken[i].start : e64_tls_pool_size;
        uint64_t begin = i > 0 ? taken[i - 1].end : POOL_MARK_SIZE;
        *start = fit(begin > from ? begin : from, align, skew);
        if (*start <= end && size <= end - *start) {
            *at = i;
            return true;
        }
    }
    return false;
}

static uint64_t largest_gap(void)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i <= count; i++) {
        uint64_t end = i < count ? taken[i].start : e64_tls_pool_size;
        uint64_t begin = i > 0 ? taken[i - 1].end : POOL_MARK_SIZE;
        if (end - begin > largest)
            largest = end - begin;
    }
    return largest;
}

static e64_status insert(uint32_t at, uint64_t start, uint64_t size)
{
    if (count == room) {
        uint32_t more = room ? 2 * room : 16;
        struct range *ranges = memory_resize(taken, more * sizeof *ranges);
        if (!ranges)
            return fail_memory(more * sizeof *ranges);
        taken = ranges;
        room = more;
    }
    for (uint32_t i = count++; i > at; i--)
        taken[i] = taken[i - 1];
    taken[at] = (struct range){ start, start + size };
    return E64_OK;
}

e64_status pool_take(const char *name, uint64_t size, uint64_t align,
                     uint64_t skew, uint64_t *offset, bool *used)
{
    uint32_t at = 0;
    e64_status status = E64_OK;
    pthread_mutex_lock(&lock);
    // The thread pointer is aligned to 64 bytes, and nothing says more of it in
    // other threads.
    if (align > 64) {
        status = fail(E64_UNSUPPORTED, "%s: its thread-local variables want an "
                      "alignment of %llu bytes at a fixed offset; 64 is the "
                      "most that every thread has", name,
                      (unsigned long long)align);
    } else if (find(touched, size, align, skew, offset, &at)
               || find(0, size, align, skew, offset, &at)) {
        *used = *offset < touched;
        status = insert(at, *offset, size);
        if (status == E64_OK && *offset + size > touched)
            touched = *offset + size;
    } else {
        status = fail(E64_NOMEMORY, "%s: needs %llu bytes of static "
                      "thread-local storage (initial-exec), and %llu of the "
                      "pool's %lu bytes are left in one piece; define a larger "
                      "pool with E64_TLS_POOL in the program, or run the "
                      "script with the command elf64load, whose pool is "
                      "larger", name, (unsigned long long)size,
                      (unsigned long long)largest_gap(), e64_tls_pool_size);
        error_path(name);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void pool_give_back(uint64_t offset, uint64_t size)
{
    pthread_mutex_lock(&lock);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (taken[i].start != offset || taken[i].end != offset + size)
            taken[kept++] = taken[i];
    count = kept;
    pthread_mutex_unlock(&lock);
}
