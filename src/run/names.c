// Sets of names and globs. Exact names lie in a hash table, globs in the same
// one by what they begin with: walking along a name gives the hash of each of
// its beginnings, and where globs have such a beginning they are looked at.

#include "names.h"

#include <string.h>

#include "../elf/symbols.h"
#include "../error.h"
#include "../memory.h"

// What globs begin with is told apart up to that many characters.
enum { LONGEST = 63 };

struct entry {
    const char *pattern;
    uint32_t hash;   // of a name, or of what a glob begins with
    uint32_t length; // of that
    bool glob;
    uint32_t next;   // in its slot: place plus one; or 0
};

struct name_set {
    uint64_t lengths; // of what globs begin with, a bit each
    uint32_t count, mask;
    struct entry *entries;
    uint32_t *slots; // place plus one of the first; or 0
    char *texts;
};

static const char *skip_set(const char *at)
{
    at++;
    if (*at == '!' || *at == '^')
        at++;
    if (*at == ']')
        at++;
    while (*at && *at != ']')
        at++;
    return *at ? at + 1 : NULL;
}

const char *glob_fault(const char *glob)
{
    while (*glob) {
        if (*glob == '\\' && !glob[1])
            return "it ends in a backslash, which stands before nothing";
        glob = *glob == '\\' ? glob + 2
             : *glob == '[' ? skip_set(glob) : glob + 1;
        if (!glob)
            return "its '[' has no ']'";
    }
    return NULL;
}

// *set is at '['; goes past the ']'.
static bool matches_set(const char **set, unsigned char c)
{
    const char *at = *set + 1;
    bool inverted = *at == '!' || *at == '^', matches = false;
    at += inverted;
    for (const char *first = at; *at && (*at != ']' || at == first); at++) {
        unsigned char low = (unsigned char)*at, high = low;
        if (at[1] == '-' && at[2] && at[2] != ']') {
            high = (unsigned char)at[2];
            at += 2;
        }
        matches |= low <= c && c <= high;
    }
    *set = *at ? at + 1 : at;
    return matches != inverted;
}

// One character against what stands at *glob, which it goes past.
static bool matches_one(const char **glob, char c, bool path)
{
    bool slash = path && c == '/';
    switch (**glob) {
    case '?':
        ++*glob;
        return !slash;
    case '[':
        return matches_set(glob, (unsigned char)c) && !slash;
    case '\\':
        ++*glob;
        break;
    }
    return *(*glob)++ == c;
}

bool glob_match(const char *glob, const char *text, bool path)
{
    // Where to go on when what follows the last star does not match: with that
    // star standing for one character more, or else the last that stands for
    // slashes, too.
    const char *star = NULL, *from = NULL;
    const char *deep = NULL, *deep_from = NULL;
    for (;;) {
        if (*glob == '*') {
            bool slashes = !path || glob[1] == '*';
            while (*glob == '*')
                glob++;
            star = slashes ? NULL : glob;
            from = text;
            deep = slashes ? glob : deep;
            deep_from = slashes ? text : deep_from;
            continue;
        }
        if (*text && *glob) {
            if (matches_one(&glob, *text, path)) {
                text++;
                continue;
            }
        } else if (*text == *glob) {
            return true;
        }
        if (star && *from && *from != '/') {
            glob = star;
            text = ++from;
        } else if (deep && *deep_from) {
            glob = deep;
            text = ++deep_from;
            star = NULL;
        } else {
            return false;
        }
    }
}

static bool is_glob(const char *pattern)
{
    return strpbrk(pattern, "*?[\\") != NULL;
}

static void add(struct name_set *set, uint32_t place, const char *pattern,
                bool glob)
{
    struct entry *entry = &set->entries[place];
    size_t length = glob ? strcspn(pattern, "*?[\\") : strlen(pattern);
    if (glob && length > LONGEST)
        length = LONGEST;
    if (glob)
        set->lengths |= 1ull << length;
    uint32_t hash = 5381; // elf_gnu_hash of the beginning
    for (size_t i = 0; i < length; i++)
        hash = hash * 33 + (unsigned char)pattern[i];
    *entry = (struct entry){ pattern, hash, (uint32_t)length, glob, 0 };
    // Behind others of its slot: the first that was given comes first.
    uint32_t *at = &set->slots[hash & set->mask];
    while (*at)
        at = &set->entries[*at - 1].next;
    *at = place + 1;
}

static e64_status allocate(struct name_set *set, uint32_t count, size_t size)
{
    uint32_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    set->mask = slots - 1;
    set->count = count;
    set->entries = memory_array(count ? count : 1, sizeof *set->entries);
    set->slots = memory_array(slots, sizeof *set->slots);
    set->texts = memory_array(size ? size : 1, 1);
    return set->entries && set->slots && set->texts ? E64_OK
        : fail_memory(count * sizeof *set->entries + size);
}

e64_status names_make(const char *const *patterns, uint32_t count,
                      bool literal, struct name_set **made)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *fault = !patterns[i] ? "it is NULL"
                          : literal ? NULL : glob_fault(patterns[i]);
        if (fault)
            return fail(E64_INVALID, "the pattern '%s' is malformed: %s",
                        patterns[i] ? patterns[i] : "", fault);
        size += strlen(patterns[i]) + 1;
    }
    struct name_set *set = memory_new(sizeof *set);
    if (!set)
        return fail_memory(sizeof *set);
    e64_status status = allocate(set, count, size);
    if (status != E64_OK) {
        names_free(set);
        return status;
    }
    char *text = set->texts;
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(patterns[i]) + 1;
        memcpy(text, patterns[i], length);
        add(set, i, text, !literal && is_glob(text));
        text += length;
    }
    *made = set;
    return E64_OK;
}

void names_free(struct name_set *set)
{
    if (!set)
        return;
    memory_free(set->entries);
    memory_free(set->slots);
    memory_free(set->texts);
    memory_free(set);
}

// The first glob that begins as the name does up to there, and matches it.
static uint32_t find_glob(const struct name_set *set, const char *name,
                          uint32_t hash, uint32_t length, uint32_t best)
{
    uint32_t at = set->slots[hash & set->mask];
    for (; at && (!best || at < best); at = set->entries[at - 1].next) {
        const struct entry *entry = &set->entries[at - 1];
        if (entry->glob && entry->hash == hash && entry->length == length
            && memcmp(entry->pattern, name, length) == 0
            && glob_match(entry->pattern + length, name + length, false))
            return at;
    }
    return best;
}

uint32_t names_find(const struct name_set *set, const char *name)
{
    uint32_t hash = 5381, length = 0, glob = 0;
    for (;; length++) {
        if (length <= LONGEST && set->lengths >> length & 1)
            glob = find_glob(set, name, hash, length, glob);
        if (!name[length])
            break;
        hash = hash * 33 + (unsigned char)name[length];
    }
    uint32_t at = set->slots[hash & set->mask];
    for (; at; at = set->entries[at - 1].next) {
        const struct entry *entry = &set->entries[at - 1];
        if (!entry->glob && entry->hash == hash
            && strcmp(entry->pattern, name) == 0)
            return at;
    }
    return glob;
}

const char *names_pattern(const struct name_set *set, uint32_t place)
{
    return set->entries[place - 1].pattern;
}
