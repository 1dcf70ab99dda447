// Links an object and an archive, and calls the object's main. One process, one
// measurement: reading, linking, mapping, binding and finding main; neither
// making a runtime, which is as starting a linker, nor main itself.
//
//     archive OBJECT ARCHIVE
//
// Prints one line of NAME=VALUE, in nanoseconds: the time, and that of
// processors.

#include <elf64load.h>
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void check(e64_status status)
{
    if (status != E64_OK)
        errx(4, "%s: %s", e64_status_name(status), e64_last_error()->message);
}

int main(int count, char **words)
{
    // The program's file has a digest for a name.
    program_invocation_short_name = "archive";
    if (count != 3)
        errx(2, "see the head of archive.c");
    e64_runtime *runtime;
    e64_plugin *plugin;
    e64_symbol symbol;
    e64_source sources[2] = {
        { .struct_size = sizeof sources[0], .path = words[1] },
        { .struct_size = sizeof sources[1], .path = words[2] },
    };
    check(e64_runtime_new(NULL, &runtime, NULL));

    int64_t used = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    int64_t begin = read_clock(CLOCK_MONOTONIC);
    check(e64_link(runtime, sources, 2, NULL, &plugin, NULL));
    check(e64_lookup(plugin, "main", NULL, &symbol, NULL));
    int64_t total = read_clock(CLOCK_MONOTONIC) - begin;
    used = read_clock(CLOCK_PROCESS_CPUTIME_ID) - used;

    int code = ((int (*)(void))symbol.address)();
    if (code != 0)
        errx(4, "main of %s answers %d", words[1], code);
    printf("total=%ld cpu=%ld\n", total, used);
    return 0;
}
