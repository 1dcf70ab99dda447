// Policies for the row `policy`: what ours.c makes its runtime with.

#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <elf64load.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One that says nothing.
static inline const e64_runtime_options *policy_empty(void)
{
    static const e64_rules rules = { .struct_size = sizeof rules };
    static e64_runtime_options options = { .struct_size = sizeof options };
    options.rules = &rules;
    return &options;
}

// Provides libraries, intercepts 20 names, by what they are anyway, and allows
// all names by 100 globs, of which 47 match nothing.
static inline const e64_runtime_options *policy_tables(void)
{
#define SAME(name) { sizeof(e64_intercept), #name, (void *)name, 0, 0, 0 }
    static const e64_intercept intercepts[] = {
        SAME(malloc), SAME(free), SAME(calloc), SAME(realloc), SAME(strlen),
        SAME(memcpy), SAME(memset), SAME(memmove), SAME(memcmp), SAME(strcmp),
        SAME(getenv), SAME(abort), SAME(close), SAME(read), SAME(write),
        SAME(lseek), SAME(unlink), SAME(getpid), SAME(strtol), SAME(qsort),
    };
#undef SAME
    static const e64_definition silence = { sizeof silence, "audio_play", 0,
        (void *)getpid, 0, E64_KIND_FUNCTION, 0 };
    static const e64_provide provides[] = {
        { sizeof *provides, "libaudio.so.1", E64_PROVIDE_TABLE, 0, 0, &silence,
          1 },
        { sizeof *provides, "libnothing.so", E64_PROVIDE_PATH, "/no/such/file",
          0, 0, 0 },
        { sizeof *provides, "libmine.so", E64_PROVIDE_HOST, 0, 0, 0, 0 },
    };
    static char globs[100][24];
    static const char *allow[101];
    static const e64_rules rules = { .struct_size = sizeof rules,
        .allow = allow, .intercept = intercepts, .intercept_count = 20,
        .provide = provides, .provide_count = 3 };
    static e64_runtime_options options = { .struct_size = sizeof options };
    for (int i = 0; i < 100; i++) {
        if (i < 26)
            snprintf(globs[i], sizeof globs[i], "%c*", 'a' + i);
        else if (i < 52)
            snprintf(globs[i], sizeof globs[i], "%c*", 'A' + i - 26);
        else if (i < 53)
            strcpy(globs[i], "_*");
        else
            snprintf(globs[i], sizeof globs[i], "%.*s%d_*", 2 + i % 9,
                     "_ZNKSt7audio", i);
        allow[i] = globs[i];
    }
    options.rules = &rules;
    return &options;
}

#endif
