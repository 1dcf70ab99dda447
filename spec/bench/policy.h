// Policies for the row `policy`: what ours.c makes its runtime with.

#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <elf64load.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAME(name) { sizeof(e64_intercept), #name, (void *)name, 0, 0, 0 }

// Intercepts 20 names, by what they are anyway.
static inline void add_intercepts(e64_rules *rules)
{
    static const e64_intercept intercepts[] = {
        SAME(malloc), SAME(free), SAME(calloc), SAME(realloc), SAME(strlen),
        SAME(memcpy), SAME(memset), SAME(memmove), SAME(memcmp), SAME(strcmp),
        SAME(getenv), SAME(abort), SAME(close), SAME(read), SAME(write),
        SAME(lseek), SAME(unlink), SAME(getpid), SAME(strtol), SAME(qsort),
    };
    rules->intercept = intercepts;
    rules->intercept_count = sizeof intercepts / sizeof *intercepts;
}

#undef SAME

// Provides three libraries.
static inline void add_provides(e64_rules *rules)
{
    static const e64_definition silence = { sizeof silence, "audio_play", 0,
        (void *)getpid, 0, E64_KIND_FUNCTION, 0 };
    static const e64_provide provides[] = {
        { sizeof *provides, "libaudio.so.1", E64_PROVIDE_TABLE, 0, 0, &silence,
          1 },
        { sizeof *provides, "libnothing.so", E64_PROVIDE_PATH, "/no/such/file",
          0, 0, 0 },
        { sizeof *provides, "libmine.so", E64_PROVIDE_HOST, 0, 0, 0, 0 },
    };
    rules->provide = provides;
    rules->provide_count = sizeof provides / sizeof *provides;
}

// Allows all names by 100 globs, of which 47 match nothing.
static inline void add_globs(e64_rules *rules)
{
    static char globs[100][24];
    static const char *allow[101];
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
    rules->allow = allow;
}

static inline const e64_runtime_options *policy_with(bool provide,
                                                     bool intercept, bool allow)
{
    static e64_rules rules = { .struct_size = sizeof rules };
    static e64_runtime_options options = { .struct_size = sizeof options };
    if (provide)
        add_provides(&rules);
    if (intercept)
        add_intercepts(&rules);
    if (allow)
        add_globs(&rules);
    options.rules = &rules;
    return &options;
}

// One that says nothing.
static inline const e64_runtime_options *policy_empty(void)
{
    return policy_with(false, false, false);
}

static inline const e64_runtime_options *policy_provide(void)
{
    return policy_with(true, false, false);
}

static inline const e64_runtime_options *policy_intercept(void)
{
    return policy_with(false, true, false);
}

static inline const e64_runtime_options *policy_allow(void)
{
    return policy_with(false, false, true);
}

static inline const e64_runtime_options *policy_tables(void)
{
    return policy_with(true, true, true);
}

#endif
