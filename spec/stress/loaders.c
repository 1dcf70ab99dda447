// Two loaders in one process, glibc's and ours, and threads that use both.
//
//     loaders LIST SECONDS THREADS SEED
//
// LIST names the files, a line each: number, letters, owner, path.

#include "loaders.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "watchdog.h"

E64_TLS_POOL(16384)

enum {
    // KB; what malloc's arenas come to hold is not the same each time.
    MOST_GROWN = 4096,
    // Blocks; the table of addresses may be one or several. What is left of one
    // open in a thousand is more after one round.
    MOST_BLOCKS = 8,
};

struct file files[FILES];
e64_runtime *runtimes[RUNTIMES];
int thread_count;
atomic_bool stopping;
struct counts counts;

void wrong(int file, const char *format, ...)
{
    char text[1000];
    va_list arguments;
    if (atomic_fetch_add(&counts.wrong, 1) >= 20)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%d (%s): %s\n", file,
            files[file].path ? files[file].path : "no file", text);
}

static void read_list(const char *path)
{
    char line[4096], letters[32], name[4000];
    int number, owner;
    FILE *list = fopen(path, "r");
    while (list && fgets(line, sizeof line, list)) {
        if (sscanf(line, "%d %31s %d %3999s", &number, letters, &owner, name)
            != 4 || number <= 0 || number >= FILES) {
            wrong(0, "the list says %s", line);
            continue;
        }
        struct file *file = &files[number];
        file->path = strdup(name);
        file->owner = owner;
        file->host = strchr(letters, 'h') != NULL;
        file->global = strchr(letters, 'g') != NULL;
        file->throws = strchr(letters, 't') != NULL;
        file->brief = strchr(letters, 'b') != NULL;
        file->stays = strchr(letters, 's') != NULL;
        file->foreign = file->stays || strchr(letters, 'f') != NULL;
    }
    if (list)
        fclose(list);
    else
        wrong(0, "there is no list %s", path);
}

// After a round nothing is open but what stays.
static void check_counts(void)
{
    for (int i = 0; i < FILES; i++) {
        long begun = atomic_load(&files[i].begun);
        long ended = atomic_load(&files[i].ended);
        long made = atomic_load(&files[i].made);
        if (files[i].stays ? begun > RUNTIMES : begun != ended)
            wrong(i, "%ld have begun, %ld have ended", begun, ended);
        if (made)
            wrong(i, "%ld objects are left", made);
    }
}

static void check_census(const struct census *first)
{
    struct census census;
    tasks_settle();
    census_take(&census);
    if (census.mappings || census.staying != first->staying)
        wrong(0, "%ld mappings are left, %ld instead of %ld stay",
              census.mappings, census.staying, first->staying);
    if (census.descriptors != first->descriptors)
        wrong(0, "%ld descriptors instead of %ld", census.descriptors,
              first->descriptors);
    if (labs(census.blocks - first->blocks) > MOST_BLOCKS)
        wrong(0, "%ld blocks instead of %ld", census.blocks, first->blocks);
}

static void run_round(long milliseconds)
{
    struct timespec time = { milliseconds / 1000,
                             milliseconds % 1000 * 1000000 };
    pthread_t threads[THREADS];
    atomic_store(&stopping, false);
    for (long i = 0; i < thread_count; i++)
        pthread_create(&threads[i], NULL, tasks_run, (void *)i);
    // Threads are asked by a signal, too.
    while (nanosleep(&time, &time) != 0)
        continue;
    atomic_store(&stopping, true);
    for (long i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
}

static void show(long done, long all)
{
    if (isatty(2))
        fprintf(stderr, "\r\033[K%ld of %ld rounds, %ld opens, %ld wrong%s",
                done, all, atomic_load(&counts.opens),
                atomic_load(&counts.wrong), done == all ? "\r\033[K" : "");
}

static long run_rounds(long seconds)
{
    struct census first, middle, last;
    long rounds = seconds < 12 ? 4 : seconds / 3;
    for (long i = 0; i < rounds && !atomic_load(&counts.wrong); i++) {
        show(i, rounds);
        tasks_begin_round(i);
        run_round(seconds * 1000 / rounds);
        // What waits to be unmapped keeps libraries of the host open.
        tasks_settle();
        check_counts();
        // What grows with what is done at once has grown in the first round.
        if (i == 0) {
            tasks_settle();
            census_take(&first);
        }
        check_census(&first);
        if (i == rounds / 2)
            census_take(&middle);
    }
    show(rounds, rounds);
    census_take(&last);
    return atomic_load(&counts.wrong) ? 0 : last.resident - middle.resident;
}

static void end(void)
{
    for (int i = 0; i < RUNTIMES; i++)
        if (e64_runtime_free(runtimes[i], NULL) != E64_OK)
            wrong(0, "runtime: %s", e64_last_error()->message);
    check_counts();
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: loaders LIST SECONDS THREADS SEED\n", stderr);
        return 2;
    }
    long seconds = atol(argv[2]);
    thread_count = atoi(argv[3]);
    tasks_seed(strtoul(argv[4], NULL, 0));
    read_list(argv[1]);
    census_begin();
    // A sanitizer is slow, keeps what was freed, and leaves children with its
    // own locks as they were.
    bool sanitized = getenv("STRESS_SANITIZED") != NULL;
    if (sanitized)
        tasks_without_fork();
    for (int i = 0; i < RUNTIMES; i++)
        if (e64_runtime_new(NULL, &runtimes[i], NULL) != E64_OK)
            wrong(0, "runtime: %s", e64_last_error()->message);
    if (atomic_load(&counts.wrong))
        return 1;
    watchdog_start(sanitized ? 60 : 20);
    tasks_warm();
    long grown = run_rounds(seconds);
    if (grown > MOST_GROWN && !sanitized)
        wrong(0, "it has grown by %ld KB from the middle to the end", grown);
    end();
    printf("%ld s, %d threads, seed %s: %ld opens, %ld lookups, %ld throws, "
           "%ld opens of the host's, %ld threads, %ld forks, grown by %ld KB, "
           "%ld wrong\n", seconds, thread_count, argv[4],
           atomic_load(&counts.opens), atomic_load(&counts.lookups),
           atomic_load(&counts.throws), atomic_load(&counts.host_opens),
           atomic_load(&counts.threads), atomic_load(&counts.forks), grown,
           atomic_load(&counts.wrong));
    return atomic_load(&counts.wrong) != 0;
}
