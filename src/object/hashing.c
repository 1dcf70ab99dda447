// How names are found while objects are linked: by a hash for which nobody can
// make names beforehand that are all alike, as for DT_GNU_HASH's anybody can.
// It is a polynomial over the names' bytes, seven at a time, modulo the prime
// 2^61 - 1 and at a place that is chosen anew for each process: two names meet
// with a probability of their length in 2^61.

#include <sys/auxv.h>

#include "editor.h"

static const uint64_t PRIME = (1ull << 61) - 1;

static uint64_t reduce(unsigned __int128 value)
{
    uint64_t sum = (uint64_t)(value & PRIME) + (uint64_t)(value >> 61);
    return sum < PRIME ? sum : sum - PRIME;
}

// The kernel gives each process sixteen random bytes.
void edit_choose_hash(struct edit *edit)
{
    const void *random = (const void *)getauxval(AT_RANDOM);
    uint64_t place = 0;
    if (random)
        memcpy(&place, random, sizeof place);
    // Not a small one, by which short names would stay as they are.
    edit->hash_place = reduce(place >> 3 | 1ull << 60);
}

uint64_t edit_hash(const struct edit *edit, const char *name)
{
    const unsigned char *at = (const unsigned char *)name;
    uint64_t hash = 0;
    bool more = true;
    while (more) {
        // The bit above the bytes tells how many there are.
        uint64_t bytes = 1;
        int count = 0;
        for (; count < 7 && *at; count++)
            bytes = bytes << 8 | *at++;
        more = count == 7;
        hash = reduce((unsigned __int128)(hash + bytes) * edit->hash_place);
    }
    return hash;
}
