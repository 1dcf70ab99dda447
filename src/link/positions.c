// Libraries that come in large groups look each name up in a long scope. A
// table says from where on that is worth while: for each value of two functions
// of a hash, the position of the first object that has a symbol of that value.
// The hashes stand in the objects' own tables (DT_GNU_HASH), so no name is
// read.

#include "positions.h"

#include "../error.h"
#include "../memory.h"

struct link_positions {
    uint32_t opaque; // the first object whose table has no such hashes
    uint32_t shift;  // 64 minus the binary logarithm of the table's length
    uint8_t first[];
};

struct slots {
    uint64_t one, two;
};

// Of all but the lowest bit, which the objects' tables do not have.
static inline struct slots slots_of(const struct link_positions *positions,
                                    uint32_t hash)
{
    uint64_t mixed = (hash >> 1) * 0x9e3779b97f4a7c15;
    return (struct slots){ mixed >> positions->shift,
                           mixed << 20 >> positions->shift };
}

uint32_t positions_first(const struct link_positions *positions, uint32_t hash)
{
    struct slots slots = slots_of(positions, hash);
    uint32_t one = positions->first[slots.one];
    uint32_t two = positions->first[slots.two];
    uint32_t first = one > two ? one : two;
    return first < positions->opaque ? first : positions->opaque;
}

static void lower(uint8_t *first, uint32_t position)
{
    if (*first > position)
        *first = (uint8_t)position;
}

static void enter(struct link_positions *positions,
                  const struct elf_object *object, uint32_t position)
{
    struct view hashes = elf_hashes(object->symbols);
    if (!object->symbols->gnu_buckets && object->symbols->sysv_buckets
        && positions->opaque > position)
        positions->opaque = position;
    for (uint64_t at = 0; at < hashes.size; at += 4) {
        struct slots slots = slots_of(positions, load32(hashes.data + at));
        lower(&positions->first[slots.one], position);
        lower(&positions->first[slots.two], position);
    }
}

// Eight places for each symbol leave few wrong answers, which cost some time.
static uint32_t length_for(const struct link_scope *scope)
{
    enum { LEAST = 12, MOST = 22 }; // binary logarithms
    uint64_t symbols = 0;
    uint32_t length = LEAST;
    for (uint32_t list = 0; list < scope->count; list++)
        for (uint32_t i = 0; i < scope->counts[list]; i++)
            symbols += elf_hashes(scope->lists[list][i]->symbols).size / 4;
    while (length < MOST && (1u << length) < 8 * symbols)
        length++;
    return length;
}

e64_status link_positions_new(const struct link_scope *scope,
                              struct link_positions **made)
{
    uint32_t length = length_for(scope), position = 0;
    size_t size = (size_t)1 << length;
    struct link_positions *positions = memory_resize(NULL, sizeof *positions
                                                     + size);
    if (!positions)
        return fail_memory(sizeof *positions + size);
    positions->opaque = POSITIONS_LAST;
    positions->shift = 64 - length;
    memset(positions->first, POSITIONS_LAST, size);
    for (uint32_t list = 0; list < scope->count; list++)
        for (uint32_t i = 0; i < scope->counts[list]
                             && position < POSITIONS_LAST; i++)
            enter(positions, scope->lists[list][i], position++);
    *made = positions;
    return E64_OK;
}

void link_positions_free(struct link_positions *positions)
{
    memory_free(positions);
}
