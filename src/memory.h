// The loader's own memory, by the allocator that the embedder chose.

#ifndef E64_MEMORY_H
#define E64_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "elf64load.h"

// Zeroed memory, or NULL.
void *memory_new(size_t size);

// Like calloc: an array of zeroed elements; NULL when it is too large as well.
void *memory_array(size_t count, size_t size);

// Like realloc, but new bytes are not zeroed and size is never 0.
void *memory_resize(void *block, size_t size);

// Room for one more in an array, which the pointer at `array` points to: twice
// as much, when there is none left.
e64_status memory_grow(void *array, uint32_t count, uint32_t *room,
                       size_t size);

char *memory_copy(const char *text);

void memory_free(void *block);

// For what gives memory back in the end and so must not fail for want of it:
// where the allocator has none, it is the kernel's.
void *vital_resize(void *block, size_t size);
void vital_free(void *block);

// Called when the first runtime is made: from then on the allocator is fixed.
void memory_settle(void);

#endif
