// Makes an object file that nobody has seen before, links and opens it, and calls
// it. One process, one measurement. Linked once with theirs.c and once with
// ours.c.
//
//     fresh TEMPLATE FOLDER
//
// The object is TEMPLATE with another number in it, which its function `fresh`
// answers. It is written to FOLDER before the clock starts, as a compiler would
// have done. Prints one line of NAME=VALUE, in nanoseconds: the time, and that
// of processors, other programs' included.

#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "constructors.h"
#include "opener.h"

static const char MARK[] = "fresh 00000000";
enum { DIGITS = 8, ROOM = 1 << 20 };

// Of this process and of those that it has waited for.
static int64_t processor_time(void)
{
    struct rusage used[2];
    int64_t total = 0;
    getrusage(RUSAGE_SELF, &used[0]);
    getrusage(RUSAGE_CHILDREN, &used[1]);
    for (int i = 0; i < 2; i++)
        total += (used[i].ru_utime.tv_sec + used[i].ru_stime.tv_sec) * 1000000
                 + used[i].ru_utime.tv_usec + used[i].ru_stime.tv_usec;
    return total * 1000;
}

// Answers the number.
static long make(const char *template, const char *path)
{
    static char bytes[ROOM];
    FILE *file = fopen(template, "re");
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (!file || size == sizeof bytes)
        err(3, "%s", template);
    fclose(file);
    char *mark = memmem(bytes, size, MARK, sizeof MARK);
    if (!mark)
        errx(2, "%s: there is no mark in it", template);
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    // Nobody has it within the second, nor does a later process soon.
    long number = (time.tv_sec % 100 * 1000000 + time.tv_nsec / 1000) % 100000000;
    char digits[DIGITS + 1];
    snprintf(digits, sizeof digits, "%0*ld", DIGITS, number);
    memcpy(mark + strlen(MARK) - DIGITS, digits, DIGITS);
    file = fopen(path, "we");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        err(3, "%s", path);
    return number;
}

int main(int count, char **words)
{
    // The program's file has a digest for a name.
    program_invocation_short_name = "fresh";
    if (count != 3)
        errx(2, "see the head of fresh.c");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d.o", words[2], getpid());
    long number = make(words[1], path);

    int64_t used = processor_time(), begin = now();
    long (*function)(void) = (long (*)(void))opener_function(
        opener_linked(path), "fresh");
    long answer = function();
    int64_t end = now();
    used = processor_time() - used;
    if (answer != number)
        errx(4, "%s answers %ld instead of %ld", path, answer, number);
    printf("total=%ld cpu=%ld\n", end - begin, used);
    return 0;
}
