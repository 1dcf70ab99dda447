// Drives the reader of ld.so.cache with bytes that nobody can trust. A fuzzer
// calls LLVMFuzzerTestOneInput; on its own (without -DFUZZER)
//
//     cache_fuzz FILE MUTANTS SEED
//
// takes the file cut at every boundary of its tables, and mutants of it.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/elf/cache.h"

static const char *const levels[] = { "x86-64-v4", "x86-64-v3", "x86-64-v2" };
static const struct elf_cache_machine machine = {
    .flags = 0x303, .levels = 0xf, .hwcap = 6, .platforms = 0xfull << 48,
    .platform = 1ull << 50, .names = levels, .name_count = 3,
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
    free(copy);
    return 0;
}

#ifndef FUZZER

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void mutate(uint8_t *data, size_t size)
{
    static const uint32_t edges[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff,
                                      0xfffffffc };
    for (unsigned i = 1 + chance(6); i > 0; i--) {
        // Half of the changes hit what the tables hang on.
        size_t reach = chance(2) ? size : size < 400 ? size : 400;
        size_t at = chance((uint32_t)reach);
        if (chance(2) && size >= 4) {
            at = at / 4 * 4 + 4 <= size ? at / 4 * 4 : 0;
            memcpy(data + at, &edges[chance(6)], 4);
        } else {
            data[at] = (uint8_t)chance(256);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    FILE *file = fopen(argv[1], "rb");
    struct stat stat;
    if (!file || fstat(fileno(file), &stat) != 0)
        return 2;
    size_t size = (size_t)stat.st_size;
    uint8_t *data = malloc(size), *mutant = malloc(size);
    if (fread(data, 1, size, file) != size)
        return 2;
    unsigned runs = 0;
    for (size_t cut = 0; cut < size; cut += cut < 1024 ? 1 : 61, runs++)
        LLVMFuzzerTestOneInput(data, cut);
    state = strtoull(argv[3], NULL, 0);
    for (int i = atoi(argv[2]); i > 0; i--, runs++) {
        memcpy(mutant, data, size);
        mutate(mutant, size);
        LLVMFuzzerTestOneInput(mutant, size);
    }
    printf("%u\n", runs);
    free(mutant);
    free(data);
    fclose(file);
    return 0;
}

#endif
