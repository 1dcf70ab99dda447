// Memory that is taken piece by piece and goes all at once.

#include "arena.h"

#include <stdint.h>
#include <string.h>

#include "memory.h"

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

enum { BLOCK_SIZE = 64 * 1024 };

void *arena_new(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    size = (size + 15) & ~(size_t)15;
    if (!block || size > block->size - block->used) {
        size_t room = size > BLOCK_SIZE / 4 ? size : BLOCK_SIZE;
        struct arena_block *made = memory_resize(NULL, sizeof *made + room);
        if (!made)
            return NULL;
        *made = (struct arena_block){ .size = room };
        // What is large has its own block, behind the one in use.
        struct arena_block **at = block && room == size ? &block->next
                                                        : &arena->blocks;
        made->next = *at;
        *at = block = made;
    }
    void *piece = block->bytes + block->used;
    block->used += size;
    return memset(piece, 0, size);
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        memory_free(block);
    }
}
