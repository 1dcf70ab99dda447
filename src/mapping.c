// What could not be unmapped is kept in a list, which takes no memory: there may
// be none.

#include "mapping.h"

#include <sys/mman.h>

#include "lock.h"

static struct lock lock = LOCK_INITIALIZER;
static struct { void *start; size_t size; } left[64];
static unsigned count;

void mapping_drop(void *start, size_t size)
{
    int failed = munmap(start, size);
    lock_take(&lock);
    for (unsigned i = count; i-- > 0; )
        if (munmap(left[i].start, left[i].size) == 0)
            left[i] = left[--count];
    if (failed && count < sizeof left / sizeof *left) {
        left[count].start = start;
        left[count++].size = size;
    }
    lock_give(&lock);
}
