// An allocator that counts, for the programs of the specs.

#ifndef COUNTING_H
#define COUNTING_H

#include <stdlib.h>

static long live;    // blocks
static size_t asked; // bytes, of all that was ever asked for

static void *count(void *data, void *block, size_t size)
{
    (void)data;
    if (!size) {
        live -= block != NULL;
        free(block);
        return NULL;
    }
    live += block == NULL;
    asked += size;
    return realloc(block, size);
}

#endif
