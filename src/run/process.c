// What the process was started with. glibc hands it to constructors, and so to
// this one, in an executable as well as in a module that was opened late.

#include "run.h"

#include <time.h>
#include <unistd.h>

static int count;
static char **arguments;

__attribute__((constructor)) static void keep(int argc, char **argv)
{
    count = argc;
    arguments = argv;
}

struct process process_start(void)
{
    // setenv may have moved the environment since.
    return (struct process){ count, arguments, environ };
}

uint64_t run_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
