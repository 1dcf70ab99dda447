// Opens one library and says how long it took and how much memory it made
// dirty. One process, one measurement. Linked once with theirs.c and once with
// ours.c.
//
//     measure list LIB              what dlopen of LIB brings in besides LIB,
//                                   and what it needs, a path a line
//     measure open|lazy LIB [DEPENDENCY...]
//     measure index LIB PRIMER [DEPENDENCY...]
//         the dependencies are opened first, by the same side, and do not
//         count; then PRIMER, which is closed again; what its open took is
//         `built`. Prints one line of NAME=VALUE, times in nanoseconds, memory
//         in KB. Exit status 5: a dependency has opened LIB already.

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "constructors.h"
#include "opener.h"

static void list(const char *library)
{
    struct link_map *map = debug_state()->r_map;
    char *own = realpath(library, NULL);

    while (map->l_next)
        map = map->l_next;
    if (!dlopen(library, RTLD_NOW | RTLD_LOCAL))
        errx(4, "dlopen: %s", dlerror());
    for (map = map->l_next; map; map = map->l_next) {
        char *path = realpath(map->l_name, NULL);
        if (path && own && strcmp(path, own) != 0)
            puts(path);
        free(path);
    }
}

static long private_dirty(void)
{
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (size < 0)
        err(3, "/proc/self/smaps_rollup");
    close(file);
    text[size] = 0;
    const char *line = strstr(text, "Private_Dirty:");
    return line ? atol(line + strlen("Private_Dirty:")) : -1;
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static int64_t prime(const char *plugin)
{
    int64_t begin = now();
    void *opened = opener_open(plugin);
    int64_t took = now() - begin;
    opener_close(opened);
    return took;
}

int main(int count, char **words)
{
    // The program's file has a digest for a name.
    program_invocation_short_name = "measure";
    if (count == 3 && strcmp(words[1], "list") == 0) {
        list(words[2]);
        fflush(stdout);
        _exit(0);
    }
    bool lazy = count > 1 && strcmp(words[1], "lazy") == 0;
    bool index = count > 3 && strcmp(words[1], "index") == 0;
    if (count < 3 || (!lazy && !index && strcmp(words[1], "open") != 0))
        errx(2, "see the head of measure.c");
    // What libraries print is not the result.
    int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    if (out < 0 || dup2(2, 1) < 0)
        err(3, "standard output");

    const char *library = words[2];
    struct sample sample = { 0 };
    constructors_install();
    for (int i = index ? 4 : 3; i < count; i++)
        opener_dependency(words[i]);
    if (opener_has(library))
        errx(5, "%s is open already", library);
    int64_t built = index ? prime(words[3]) : 0;
    private_dirty();
    faults();
    long dirty = private_dirty();
    long fault = faults();
    opener_measure(library, lazy, &sample);
    fault = faults() - fault;
    dirty = private_dirty() - dirty;
    dprintf(out, "total=%ld setup=%ld map=%ld resolve=%ld apply=%ld init=%ld "
            "built=%ld dirty=%ld faults=%ld\n", sample.total, sample.setup,
            sample.map, sample.resolve, sample.apply, sample.init, built, dirty,
            fault);
    // Destructors are not what this is about.
    _exit(0);
}
