// Opens a plugin and says what an access to one of its thread-local variables
// costs: in the main thread, which opens it, and in one that is there before.
// One process, one measurement. Linked once with theirs.c and once with ours.c.
//
//     tls PLUGIN
//
// PLUGIN is access.c. Prints one line of NAME=VALUE, times in picoseconds.

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "constructors.h"
#include "opener.h"

enum { VARIABLES = 16, TIMES = 2000, SLICES = 50 };

static void (*access_all)(long), (*rest)(long);
static int (*right)(void);
static pthread_barrier_t opened;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// The best of many slices: what else runs on the machine only adds to one.
static int64_t measure(const char *thread)
{
    int64_t with = INT64_MAX, without = INT64_MAX;
    // The first access makes the thread's variables.
    if (!right())
        errx(4, "the variables do not begin as they should in the %s", thread);
    for (int i = 0; i < SLICES; i++) {
        int64_t begin = now();
        rest(TIMES);
        int64_t between = now();
        access_all(TIMES);
        int64_t end = now();
        without = least(without, between - begin);
        with = least(with, end - between);
    }
    return (with - without) * 1000 / (TIMES * VARIABLES);
}

static void *earlier(void *result)
{
    pthread_barrier_wait(&opened);
    *(int64_t *)result = measure("earlier thread");
    return NULL;
}

int main(int count, char **words)
{
    pthread_t thread;
    int64_t in_thread;
    // The program's file has a digest for a name.
    program_invocation_short_name = "tls";
    if (count != 2)
        errx(2, "see the head of tls.c");
    pthread_barrier_init(&opened, NULL, 2);
    errno = pthread_create(&thread, NULL, earlier, &in_thread);
    if (errno)
        err(3, "pthread_create");
    access_all = (void (*)(long))opener_function(words[1], "access");
    rest = (void (*)(long))opener_function(words[1], "rest");
    right = (int (*)(void))opener_function(words[1], "right");
    int64_t in_main = measure("main thread");
    pthread_barrier_wait(&opened);
    errno = pthread_join(thread, NULL);
    if (errno)
        err(3, "pthread_join");
    printf("main=%ld thread=%ld\n", in_main, in_thread);
    return 0;
}
