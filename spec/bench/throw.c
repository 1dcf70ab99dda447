// Opens a library and a plugin that throws through it, and says how long the
// process' first throw took and each of those that followed. One process, one
// measurement. Linked once with theirs.c and once with ours.c.
//
//     throw LIB PLUGIN
//
// PLUGIN is throw.cc, linked against LIB. Prints one line of NAME=VALUE, times
// in nanoseconds.

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "constructors.h"
#include "opener.h"

enum { TIMES = 10000 };

int main(int count, char **words)
{
    // The program's file has a digest for a name.
    program_invocation_short_name = "throw";
    if (count != 3)
        errx(2, "see the head of throw.c");
    // What libraries print is not the result.
    int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    if (out < 0 || dup2(2, 1) < 0)
        err(3, "standard output");

    opener_dependency(words[1]);
    long (*thrown)(long) = (long (*)(long))opener_function(words[2], "thrown");
    int64_t begin = now();
    long caught = thrown(1);
    int64_t first = now();
    caught += thrown(TIMES);
    int64_t end = now();
    if (caught != 1 + TIMES)
        errx(4, "%d of %d were caught", (int)caught, 1 + TIMES);
    dprintf(out, "first=%ld hot=%ld\n", first - begin, (end - first) / TIMES);
    // Destructors are not what this is about.
    _exit(0);
}
