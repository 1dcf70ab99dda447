// The stress in a program that the loader is linked into.
//
//     linked THREADS OPENS PLUGIN...

#include <elf64load.h>
#include <stdio.h>
#include <stdlib.h>

#include "creators.h"

enum { OPEN = 4 };

static struct {
    e64_plugin *plugin;
    long place;
} opened[OPEN];

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, e64_last_error()->message);
    exit(1);
}

static void replace(e64_runtime *runtime, const char *path, int at)
{
    if (opened[at].plugin) {
        stress_leave(opened[at].place);
        if (e64_close(opened[at].plugin, NULL) != E64_OK)
            give_up("close");
    }
    if (e64_open(runtime, path, NULL, &opened[at].plugin, NULL) != E64_OK)
        give_up("open");
    opened[at].place = stress_enter((long (*)(long))e64_entry(
        opened[at].plugin, "check"));
}

int main(int argc, char **argv)
{
    long threads = atol(argv[1]), opens = atol(argv[2]);
    e64_runtime *runtime;
    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK)
        give_up("runtime");
    stress_begin(4);
    // Some threads are there before the first plugin comes.
    stress_wait(threads / 20);
    for (long i = 0; i < opens; i++) {
        replace(runtime, argv[3 + i * 7 % (argc - 3)], i % OPEN);
        if (i % 100 == 50 && stress_fork() != 0) {
            fprintf(stderr, "the child of the opener failed\n");
            return 1;
        }
        stress_wait(threads * i / opens);
    }
    stress_wait(threads);
    stress_end();
    printf("%ld threads, %ld opens, %ld stale, %ld not created\n",
           stress_threads(), opens, stress_stale(), stress_failed());
    return stress_stale() || stress_failed();
}
