// Names much like one that was not found, for messages.

#include "run.h"

#include <string.h>

enum { MOST_NEAR = 8, LONGEST = 256, MOST_DISTANCE = 3 };

// The optimal string alignment distance, or MOST_DISTANCE + 1 when it is more
// than `most`.
static uint32_t distance(const char *a, size_t a_length, const char *b,
                         size_t b_length, uint32_t most)
{
    uint8_t rows[3][LONGEST + 1];
    uint8_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t k = 0; k <= b_length; k++)
        last[k] = (uint8_t)k;
    for (size_t i = 1; i <= a_length; i++) {
        uint32_t least = row[0] = (uint8_t)i;
        for (size_t k = 1; k <= b_length; k++) {
            uint32_t change = last[k - 1] + (a[i - 1] != b[k - 1]);
            uint32_t remove = last[k] + 1u, insert = row[k - 1] + 1u;
            uint32_t best = change < remove ? change : remove;
            if (insert < best)
                best = insert;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]
                && before[k - 2] + 1u < best)
                best = before[k - 2] + 1u;
            row[k] = (uint8_t)best;
            if (best < least)
                least = best;
        }
        if (least > most)
            return MOST_DISTANCE + 1;
        uint8_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

struct nearing {
    const struct elf_symbols *symbols;
    const char *name;
    size_t length;
    uint32_t most;
    const char *names[MOST_NEAR];
    uint32_t distances[MOST_NEAR];
    size_t count;
};

// Keeps the nearest, sorted.
static void add(struct nearing *nearing, const char *text, uint32_t far)
{
    size_t at = nearing->count;
    for (size_t i = 0; i < nearing->count; i++)
        if (strcmp(nearing->names[i], text) == 0)
            return;
    while (at > 0 && nearing->distances[at - 1] > far)
        at--;
    if (at == MOST_NEAR)
        return;
    if (nearing->count < MOST_NEAR)
        nearing->count++;
    for (size_t i = nearing->count - 1; i > at; i--) {
        nearing->names[i] = nearing->names[i - 1];
        nearing->distances[i] = nearing->distances[i - 1];
    }
    nearing->names[at] = text;
    nearing->distances[at] = far;
}

static int consider(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct nearing *nearing = data;
    const char *text = elf_string(nearing->symbols, symbol->st_name);
    // Names that are the ends of one long one cost no more than others.
    size_t length = strnlen(text, LONGEST + 1);
    size_t more = length > nearing->length ? length - nearing->length
                                           : nearing->length - length;
    (void)index;
    if (more > nearing->most || length > LONGEST)
        return 0;
    uint32_t far = distance(nearing->name, nearing->length, text, length,
                            nearing->most);
    if (far <= nearing->most)
        add(nearing, text, far);
    return 0;
}

size_t near_names(const struct elf_object *const *objects, uint32_t count,
                  const char *name, const char **near, size_t room)
{
    struct nearing nearing = { .name = name, .length = strlen(name) };
    // A third of the letters at most: "F" is near "G", "exit" is not near "f".
    nearing.most = (uint32_t)(nearing.length / 3);
    if (nearing.most < 1)
        nearing.most = 1;
    if (nearing.most > MOST_DISTANCE)
        nearing.most = MOST_DISTANCE;
    if (nearing.length > LONGEST)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        nearing.symbols = objects[i]->symbols;
        elf_symbols_each(nearing.symbols, consider, &nearing);
    }
    size_t found = nearing.count < room ? nearing.count : room;
    memcpy(near, nearing.names, found * sizeof *near);
    return found;
}
