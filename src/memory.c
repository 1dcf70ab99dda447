// The loader's own memory.

#include "memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "elf64load.h"
#include "error.h"

static void *standard(void *data, void *block, size_t size)
{
    (void)data;
    if (size)
        return realloc(block, size);
    free(block);
    return NULL;
}

static e64_allocator allocator = { sizeof allocator, standard, NULL };
static atomic_bool settled;

void *memory_resize(void *block, size_t size)
{
    return allocator.resize(allocator.data, block, size);
}

void *memory_new(size_t size)
{
    void *block = memory_resize(NULL, size ? size : 1);
    if (block)
        memset(block, 0, size);
    return block;
}

void *memory_array(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return memory_new(bytes);
}

char *memory_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *block = memory_resize(NULL, size);
    return block ? memcpy(block, text, size) : NULL;
}

void memory_free(void *block)
{
    if (block)
        allocator.resize(allocator.data, block, 0);
}

void memory_settle(void)
{
    atomic_store(&settled, true);
}

static e64_status set(const e64_allocator *chosen)
{
    if (!chosen || !chosen->resize || chosen->struct_size < sizeof *chosen)
        return fail(E64_INVALID, "e64_set_allocator: needs an allocator with "
                    "its struct_size and a resize function");
    if (atomic_load(&settled))
        return fail(E64_INUSE, "e64_set_allocator: a runtime has been made "
                    "already; set the allocator before the first one");
    allocator = *chosen;
    return E64_OK;
}

e64_status e64_set_allocator(const e64_allocator *chosen, e64_error *error)
{
    return error_give(set(chosen), error);
}
