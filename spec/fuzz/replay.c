// Runs a target of the fuzzers over files, without a fuzzer:
//
//     TARGET FILE...                 each file, and each file cut short
//     TARGET --mutants N SEED FILE...   N mutants of each file, too
//
// The same seed gives the same mutants. The last line is how many inputs there
// were.

#include <stdbool.h>
#include <string.h>

#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static uint64_t state;
static unsigned long runs;

static void run(const uint8_t *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    runs++;
}

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

static bool replay(const char *path, unsigned long mutants)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        return false;
    size_t size = (size_t)ftell(file);
    uint8_t *data = malloc(size + 1), *mutant = malloc(size + 1);
    rewind(file);
    bool read = fread(data, 1, size, file) == size;
    fclose(file);
    if (read) {
        run(data, size);
        // At every byte of the first tables, then here and there.
        for (size_t cut = 0; mutants && cut < size; cut += cut < 1024 ? 1 : 61)
            run(data, cut);
        for (unsigned long i = 0; size && i < mutants; i++) {
            memcpy(mutant, data, size);
            mutate(mutant, size);
            run(mutant, size);
        }
    }
    free(mutant);
    free(data);
    return read;
}

int main(int argc, char **argv)
{
    unsigned long mutants = 0;
    int at = 1;
    if (argc > 3 && strcmp(argv[1], "--mutants") == 0) {
        mutants = strtoul(argv[2], NULL, 0);
        state = strtoull(argv[3], NULL, 0);
        at = 4;
    }
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (; at < argc; at++) {
        if (!replay(argv[at], mutants)) {
            perror(argv[at]);
            return 2;
        }
    }
    printf("%lu\n", runs);
    return 0;
}
