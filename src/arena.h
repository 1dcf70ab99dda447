// Memory that is taken piece by piece and goes all at once.

#ifndef E64_ARENA_H
#define E64_ARENA_H

#include <stddef.h>

// Zeroed: nothing has been taken.
struct arena {
    struct arena_block *blocks;
};

// Zeroed memory, aligned to 16 bytes; NULL without memory.
void *arena_new(struct arena *arena, size_t size);

void arena_free(struct arena *arena);

#endif
