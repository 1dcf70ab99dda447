// A set of hashes that sometimes says yes wrongly, for the files of this room.

#ifndef LINK_FILTER_H
#define LINK_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "../memory.h"

// Sixteen bits for each hash: at most one of sixteen answers is wrong.
struct filter {
    uint64_t *bits; // NULL: there is none
    uint32_t shift;
};

// Room for so many. False for want of memory.
static inline bool filter_new(struct filter *filter, uint64_t count)
{
    uint32_t logarithm = 10;
    while (logarithm < 26 && 1ull << logarithm < 16 * count)
        logarithm++;
    filter->bits = memory_new((size_t)1 << (logarithm - 3));
    filter->shift = 64 - logarithm;
    return filter->bits;
}

static inline void filter_free(struct filter *filter)
{
    memory_free(filter->bits);
    filter->bits = NULL;
}

// Of all but the lowest bit, which the objects' tables (DT_GNU_HASH) do not
// have.
static inline uint64_t filter_place(const struct filter *filter, uint32_t hash)
{
    return (hash >> 1) * 0x9e3779b97f4a7c15 >> filter->shift;
}

static inline void filter_add(struct filter *filter, uint32_t hash)
{
    uint64_t place = filter_place(filter, hash);
    filter->bits[place / 64] |= 1ull << place % 64;
}

static inline bool filter_has(const struct filter *filter, uint32_t hash)
{
    uint64_t place = filter_place(filter, hash);
    return filter->bits[place / 64] >> place % 64 & 1;
}

#endif
