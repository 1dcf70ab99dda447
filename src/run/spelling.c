// How far names are from each other.

#include "spelling.h"

enum { MOST_DISTANCE = 3 };

// The optimal string alignment distance, or MOST_DISTANCE + 1 when it is more
// than `most`. Only what lies that near to the diagonal can be less.
static uint32_t distance(const char *a, size_t a_length, const char *b,
                         size_t b_length, uint32_t most)
{
    enum { FAR = MOST_DISTANCE + 1 };
    uint8_t rows[3][SPELLING_LONGEST + 2];
    uint8_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t k = 0; k <= b_length; k++)
        last[k] = k > most ? FAR : (uint8_t)k;
    for (size_t i = 1; i <= a_length; i++) {
        size_t from = i > most ? i - most : 0;
        size_t to = i + most < b_length ? i + most : b_length;
        uint32_t least = FAR;
        for (size_t k = from; k <= to; k++) {
            uint32_t best = k == 0 ? (uint32_t)i : FAR;
            if (k > 0) {
                uint32_t change = last[k - 1] + (a[i - 1] != b[k - 1]);
                uint32_t insert = k > from ? row[k - 1] + 1u : FAR;
                best = change < insert ? change : insert;
            }
            if (k < i + most && last[k] + 1u < best)
                best = last[k] + 1u;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]
                && before[k - 2] + 1u < best)
                best = before[k - 2] + 1u;
            row[k] = best < FAR ? (uint8_t)best : FAR;
            if (row[k] < least)
                least = row[k];
        }
        if (least > most)
            return FAR;
        uint8_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

// Which letters there are in a text; some share a bit.
static uint64_t letters(const char *text, size_t size)
{
    uint64_t set = 0;
    for (size_t i = 0; i < size; i++)
        set |= 1ull << (text[i] & 63);
    return set;
}

// Are there more than so many?
static bool is_more(uint64_t set, uint32_t most)
{
    for (; set && most; most--)
        set &= set - 1;
    return set != 0;
}

// A third of the letters at most: "F" is near "G", "exit" is not near "f".
static uint32_t most_distance(size_t length)
{
    size_t most = length / 3;
    return most < 1 ? 1 : most > MOST_DISTANCE ? MOST_DISTANCE : (uint32_t)most;
}

bool spelling_near(const char *name, size_t size, const char *other,
                   size_t other_size, uint32_t *far)
{
    uint32_t most = most_distance(size);
    size_t more = other_size > size ? other_size - size : size - other_size;
    *far = MOST_DISTANCE + 1;
    if (size > SPELLING_LONGEST || other_size > SPELLING_LONGEST || more > most)
        return false;
    // What names begin and end with alike is most of them, and adds nothing.
    for (; size && other_size && *name == *other; size--, other_size--) {
        name++;
        other++;
    }
    while (size && other_size && name[size - 1] == other[other_size - 1]) {
        size--;
        other_size--;
    }
    // What only one of them has takes a change for each. Most are ruled out by
    // that, in a fraction of the time.
    uint64_t mine = letters(name, size), theirs = letters(other, other_size);
    if (is_more(mine & ~theirs, most) || is_more(theirs & ~mine, most))
        return false;
    *far = distance(name, size, other, other_size, most);
    return *far <= most;
}
