// dlopen's side of the bench.

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "constructors.h"
#include "opener.h"

bool opener_has(const char *path)
{
    return dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL;
}

void *opener_open(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        errx(4, "dlopen: %s", dlerror());
    return handle;
}

void opener_close(void *opened)
{
    if (dlclose(opened) != 0)
        errx(4, "dlclose: %s", dlerror());
}

void opener_dependency(const char *path)
{
    opener_open(path);
}

void *opener_function(const char *path, const char *name)
{
    void *address = dlsym(opener_open(path), name);
    if (!address)
        errx(4, "dlopen: %s", dlerror());
    return address;
}

const char *opener_linked(const char *object)
{
    static char path[PATH_MAX];
    pid_t child;
    int status;
    snprintf(path, sizeof path, "%s.so", object);
    char *words[] = { "cc", "-shared", "-o", path, (char *)object, NULL };
    errno = posix_spawnp(&child, words[0], NULL, NULL, words, environ);
    if (errno)
        err(4, "cc");
    if (waitpid(child, &status, 0) != child || status != 0)
        errx(4, "cc: status %d", status);
    return path;
}

void opener_measure(const char *path, bool lazy, struct sample *sample)
{
    constructors_watch();
    int64_t begin = now();
    void *handle = dlopen(path, (lazy ? RTLD_LAZY : RTLD_NOW) | RTLD_LOCAL);
    int64_t end = now();
    struct constructors counts = constructors_stop();

    if (!handle)
        errx(4, "dlopen: %s", dlerror());
    sample->total = end - begin - counts.running - counts.watching;
    sample->init = counts.running;
    sample->map = counts.mapped - begin;
    sample->resolve = sample->total - sample->map;
}
