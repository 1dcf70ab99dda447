// Opens many plugins in one process, one after the other, then closes them in
// the same order, and says what the tenth open cost and what the last, and what
// a close cost while all were open and while ten were. Linked once with theirs.c
// and once with ours.c.
//
//     many FOLDER COUNT
//
// FOLDER has the plugins 0.so, 1.so and so on. The first is opened and closed
// before, so that what a process does once does not count; it alone, since what
// is closed leaves memory at hand, here and in the kernel, for as many opens,
// and the tenth is to have as little of it as the last. Prints one line of
// NAME=VALUE: times in nanoseconds, and what is there after all of it and was
// not before: mappings, descriptors, bytes on the heap.

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "constructors.h"
#include "opener.h"

// A single time says little: the median of these many around it is taken.
enum { AROUND = 11, TENTH = 9, LEAST = 2 * AROUND };

static const char *folder;

static void *open_number(long number)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%ld.so", folder, number);
    return opener_open(path);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t median(const int64_t *times)
{
    int64_t sorted[AROUND];
    memcpy(sorted, times, sizeof sorted);
    qsort(sorted, AROUND, sizeof *sorted, compare);
    return sorted[AROUND / 2];
}

struct state {
    long mappings, descriptors, bytes;
};

static struct state look(void)
{
    struct state state = { 0, 0, (long)mallinfo2().uordblks };
    FILE *maps = fopen("/proc/self/maps", "re");
    for (int c; maps && (c = getc(maps)) != EOF; )
        state.mappings += c == '\n';
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        state.descriptors++;
    if (!maps || !directory)
        err(3, "/proc/self");
    fclose(maps);
    closedir(directory);
    return state;
}

int main(int count, char **words)
{
    // The program's file has a digest for a name.
    program_invocation_short_name = "many";
    long plugins = count == 3 ? atol(words[2]) : 0;
    if (plugins < LEAST)
        errx(2, "see the head of many.c");
    folder = words[1];
    void **opened = calloc((size_t)plugins, sizeof *opened);
    int64_t *opens = calloc((size_t)plugins, sizeof *opens);
    int64_t *closes = calloc((size_t)plugins, sizeof *closes);
    if (!opened || !opens || !closes)
        err(3, "calloc");

    opener_close(open_number(0));
    look();
    struct state before = look();
    for (long i = 0; i < plugins; i++) {
        int64_t begin = now();
        opened[i] = open_number(i);
        opens[i] = now() - begin;
    }
    for (long i = 0; i < plugins; i++) {
        int64_t begin = now();
        opener_close(opened[i]);
        closes[i] = now() - begin;
    }
    struct state after = look();
    printf("tenth=%ld last=%ld closetenth=%ld closelast=%ld "
           "mappings=%ld descriptors=%ld bytes=%ld\n",
           median(opens + TENTH - AROUND / 2), median(opens + plugins - AROUND),
           median(closes + plugins - 1 - TENTH - AROUND / 2), median(closes),
           after.mappings - before.mappings,
           after.descriptors - before.descriptors, after.bytes - before.bytes);
    free(opened);
    free(opens);
    free(closes);
    return 0;
}
