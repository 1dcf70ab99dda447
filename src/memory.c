// The loader's own memory.

#include "memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "mapping.h"

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

e64_status memory_grow(void *array, uint32_t count, uint32_t *room,
                       size_t size)
{
    void *old;
    if (count < *room)
        return E64_OK;
    memcpy(&old, array, sizeof old);
    size_t more = *room ? 2 * (size_t)*room : 16;
    void *made = more > UINT32_MAX ? NULL : memory_resize(old, more * size);
    if (!made)
        return fail_memory(more * size);
    memcpy(array, &made, sizeof made);
    *room = (uint32_t)more;
    return E64_OK;
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

// In front of such a block: how much the kernel has mapped for it, or 0, and
// how much of it can be used.
struct vital {
    size_t mapped, size;
};

static struct vital *map_vital(size_t size)
{
    size += sizeof(struct vital);
    struct vital *made = mmap(NULL, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        return NULL;
    made->mapped = size;
    return made;
}

void *vital_resize(void *block, size_t size)
{
    struct vital *made = memory_resize(NULL, sizeof *made + size);
    if (made)
        made->mapped = 0;
    else
        made = map_vital(size);
    if (!made)
        return NULL;
    made->size = size;
    if (block) {
        const struct vital *old = (struct vital *)block - 1;
        memcpy(made + 1, block, old->size < size ? old->size : size);
        vital_free(block);
    }
    return made + 1;
}

void vital_free(void *block)
{
    struct vital *vital = block;
    if (!block)
        return;
    if ((--vital)->mapped)
        mapping_drop(vital, vital->mapped);
    else
        memory_free(vital);
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
