// Hands out ranges of the pool. A module of zeros gets space that was never
// used if there is some: that is zero in every thread, and nothing more is
// needed. What must be written to all threads gets space that was in use
// before, so that the other is kept.

#include "pool.h"

#include <stdio.h>

#include "../error.h"
#include "../host/internals.h"
#include "../lock.h"
#include "../memory.h"
#include "tls.h"

struct pool_range {
    uint64_t start, end;
};

// Guards what follows; a leaf. Recursive because of fork: see forks.h.
static struct lock lock = LOCK_INITIALIZER;
static struct pool_area pool; // the first area
static struct pool_area *areas = &pool;

static void set_up(void)
{
    if (pool.size)
        return;
    pool.size = e64_tls_pool_size;
    pool.tp_offset = pool_tp_offset_x86_64();
    pool.touched = POOL_MARK_SIZE;
}

// Where the space of an area begins.
static uint64_t start_of(const struct pool_area *area)
{
    return area == &pool ? POOL_MARK_SIZE : 0;
}

// The gap before the range at `i`, or after the last one.
static struct pool_range gap(const struct pool_area *area, uint32_t i)
{
    return (struct pool_range){
        i > 0 ? area->taken[i - 1].end : start_of(area),
        i < area->count ? area->taken[i].start : area->size };
}

// The first start at or after `from` that has the wanted address modulo align.
static uint64_t fit(const struct pool_area *area, uint64_t from,
                    uint64_t align, uint64_t skew)
{
    uint64_t base = (uint64_t)(uintptr_t)pool_thread_pointer_x86_64()
                  + (uint64_t)area->tp_offset;
    return from + ((skew - (base + from)) & (align - 1));
}

// Finds a gap at or after `from`, and where in `taken` it is.
static bool find(const struct pool_area *area, uint64_t from, uint64_t size,
                 uint64_t align, uint64_t skew, uint64_t *start, uint32_t *at)
{
    for (uint32_t i = 0; i <= area->count; i++) {
        struct pool_range free = gap(area, i);
        *start = fit(area, free.start > from ? free.start : from, align, skew);
        if (*start <= free.end && size <= free.end - *start) {
            *at = i;
            return true;
        }
    }
    return false;
}

static e64_status insert(struct pool_area *area, uint32_t at, uint64_t start,
                         uint64_t size)
{
    e64_status status = memory_grow(&area->taken, area->count, &area->room,
                                    sizeof *area->taken);
    if (status != E64_OK)
        return status;
    for (uint32_t i = area->count++; i > at; i--)
        area->taken[i] = area->taken[i - 1];
    area->taken[at] = (struct pool_range){ start, start + size };
    return E64_OK;
}

// E64_NOMEMORY without a message when there is no such gap.
static e64_status take(const struct tls_image *image, bool zero,
                       struct pool_place *place)
{
    const uint64_t size = image->size, align = image->align;
    for (struct pool_area *area = areas; area; area = area->next) {
        uint64_t start;
        uint32_t at;
        if (!(zero && find(area, area->touched, size, align, image->skew,
                           &start, &at))
            && !find(area, 0, size, align, image->skew, &start, &at))
            continue;
        *place = (struct pool_place){ area, start, size,
                                      start < area->touched };
        return insert(area, at, start, size);
    }
    return E64_NOMEMORY;
}

static e64_status try_take(const struct tls_image *image, bool zero,
                           struct pool_place *place, bool *full)
{
    lock_take(&lock);
    set_up();
    place->area = NULL;
    e64_status status = take(image, zero, place);
    *full = status != E64_OK && !place->area;
    lock_give(&lock);
    return status;
}

// Asks glibc for an area, a larger one than is needed now if it can be had:
// each costs an entry in glibc's list.
static e64_status extend(uint64_t need, uint32_t type)
{
    enum { USUAL = 4096 };
    struct pool_area *area = memory_new(sizeof *area);
    if (!area)
        return fail_memory(sizeof *area);
    area->size = need < USUAL ? USUAL : need;
    e64_status status = host_tls_area(area->size, type, &area->tp_offset,
                                      &area->image);
    if (status == E64_UNSUPPORTED && area->size > need) {
        area->size = need;
        status = host_tls_area(need, type, &area->tp_offset, &area->image);
    }
    if (status != E64_OK) {
        memory_free(area);
        return status;
    }
    // Another library may have had the space before, and threads that are just
    // being created may not see it as glibc has initialised it.
    area->touched = area->size;
    lock_take(&lock);
    struct pool_area *last = &pool;
    while (last->next)
        last = last->next;
    last->next = area;
    lock_give(&lock);
    return E64_OK;
}

void pool_measure(struct pool_space *space)
{
    *space = (struct pool_space){ 0 };
    lock_take(&lock);
    set_up();
    for (const struct pool_area *area = areas; area; area = area->next) {
        for (uint32_t i = 0; i < area->count; i++)
            space->taken += area->taken[i].end - area->taken[i].start;
        for (uint32_t i = 0; i <= area->count; i++) {
            struct pool_range free = gap(area, i);
            uint64_t used = area->touched > free.start
                          ? area->touched - free.start : 0;
            uint64_t size = free.end - free.start;
            space->fresh += size > used ? size - used : 0;
            if (size > space->largest)
                space->largest = size;
        }
    }
    lock_give(&lock);
}

// glibc's own surplus holds other things too, so the advice is a generous one.
static e64_status exhausted(const char *name, uint64_t size)
{
    e64_error reason;
    error_save(&reason);
    struct pool_space space;
    pool_measure(&space);
    char advice[96] = "";
    if (reason.status != E64_SYSTEM) // else it cannot be asked for any
        snprintf(advice, sizeof advice, "start the program with GLIBC_TUNABLES="
                 "glibc.rtld.optional_static_tls=%llu, or ",
                 (unsigned long long)((size + 2047) & ~1023ull));
    fail(E64_NOMEMORY, "%s: needs %llu bytes of static thread-local storage "
         "(initial-exec), and %llu of the pool's %lu bytes are left in one "
         "piece, nor does glibc give more (%s); %s%s", name,
         (unsigned long long)size, (unsigned long long)space.largest,
         e64_tls_pool_size, reason.message, advice,
         host_is_startup((const void *)&pool)
         ? "define a larger pool in the program with E64_TLS_POOL"
         : "use the command elf64load, whose pool is larger");
    error_path(name);
    error_errno(reason.system_errno);
    return E64_NOMEMORY;
}

e64_status pool_take(const char *name, const struct tls_image *image, bool zero,
                     uint32_t type, struct pool_place *place)
{
    bool full;
    // The thread pointer is aligned to 64 bytes, and nothing says more of it in
    // other threads.
    if (image->align > 64) {
        fail(E64_UNSUPPORTED, "%s: its thread-local variables want an "
             "alignment of %llu bytes at a fixed offset; 64 is the most that "
             "every thread has", name, (unsigned long long)image->align);
        error_path(name);
        return E64_UNSUPPORTED;
    }
    for (;;) {
        e64_status status = try_take(image, zero, place, &full);
        if (!full)
            return status;
        status = extend((image->size + image->align + 63) & ~63ull, type);
        if (status == E64_UNSUPPORTED || status == E64_SYSTEM)
            return exhausted(name, image->size);
        if (status != E64_OK)
            return status;
    }
}

void pool_give_back(const struct pool_place *place, bool clean)
{
    struct pool_area *area = place->area;
    uint64_t end = place->offset + place->size;
    uint32_t kept = 0;
    lock_take(&lock);
    for (uint32_t i = 0; i < area->count; i++)
        if (area->taken[i].start != place->offset || area->taken[i].end != end)
            area->taken[kept++] = area->taken[i];
    area->count = kept;
    if (!clean && end > area->touched)
        area->touched = end;
    lock_give(&lock);
}

void pool_before_fork(void)
{
    lock_before_fork(&lock);
}

void pool_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}
