// What several objects define, as a set of the hashes in their tables
// (DT_GNU_HASH) that sometimes says yes wrongly.

#ifndef ELF_HASH_SET_H
#define ELF_HASH_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "../memory.h"
#include "symbols.h"

struct hash_set {
    uint64_t *bits; // NULL: there is none
    uint32_t shift;
};

// Sixteen bits or more for each of so many hashes, up to four million: then at
// most one of sixteen answers is wrong. False for want of memory.
static inline bool hash_set_new(struct hash_set *set, uint64_t count)
{
    uint32_t logarithm = 10;
    while (logarithm < 26 && 1ull << logarithm < 16 * count)
        logarithm++;
    set->bits = memory_new((size_t)1 << (logarithm - 3));
    set->shift = 64 - logarithm;
    return set->bits;
}

static inline void hash_set_free(struct hash_set *set)
{
    memory_free(set->bits);
    set->bits = NULL;
}

// Of all but the lowest bit, which the objects' tables (DT_GNU_HASH) do not
// have.
static inline uint64_t hash_set_place(const struct hash_set *set,
                                      uint32_t hash)
{
    return (hash >> 1) * 0x9e3779b97f4a7c15 >> set->shift;
}

// All that an object defines.
static inline void hash_set_add(struct hash_set *set,
                                const struct elf_symbols *symbols)
{
    struct view hashes = elf_hashes(symbols);
    for (uint64_t at = 0; at < hashes.size; at += 4) {
        uint64_t place = hash_set_place(set, load32(hashes.data + at));
        set->bits[place / 64] |= 1ull << place % 64;
    }
}

static inline bool hash_set_has(const struct hash_set *set, uint32_t hash)
{
    uint64_t place = hash_set_place(set, hash);
    return set->bits[place / 64] >> place % 64 & 1;
}

#endif
