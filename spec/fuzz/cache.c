// The reader of ld.so.cache, from bytes that nobody can trust.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "elf/cache.h"
#include "target.h"

static const char *const levels[] = { "x86-64-v4", "x86-64-v3", "x86-64-v2" };

static struct elf_cache_bits bits(void)
{
    return (struct elf_cache_bits){ 6, 0xfull << 48, 1ull << 50 };
}

static const struct elf_cache_machine machine = {
    .flags = 0x303, .levels = 0xf, .bits = bits, .names = levels,
    .name_count = 3,
};

struct names {
    char *known[64];
    unsigned count;
    unsigned long visited;
};

static bool keep(void *data, const char *name, const char *path)
{
    struct names *names = data;
    // What is given out must be strings.
    names->visited += strlen(name) + strlen(path);
    if (names->count < 64)
        names->known[names->count++] = strdup(name);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {
        "", "libc.so.6", "libz.so", "libsearched.so.1", "9", "lib00000000001.so",
        "libx.so.4294967297", "\xff\xff",
    };
    // A copy of just that size, so that a sanitizer sees what lies behind it.
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    struct view view = { copy, size };
    struct names seen = { .count = 0 };
    elf_cache_each(view, &machine, keep, &seen);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = elf_cache_find(view, &machine, names[i]);
        seen.visited += path ? strlen(path) : 0;
    }
    for (unsigned i = 0; i < seen.count; i++) {
        const char *path = elf_cache_find(view, &machine, seen.known[i]);
        seen.visited += path ? strlen(path) : 0;
        free(seen.known[i]);
    }
    target_use(seen.visited);
    free(copy);
    return 0;
}
