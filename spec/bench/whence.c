// Asks what lies at addresses of a library that both sides have opened, by turns.
//
//     whence LIB
//
// Prints a line for each side: its number and NAME=VALUE, times in picoseconds:
// `first` is the first question of the process, `hot` the ones that follow.

#include <dlfcn.h>
#include <elf64load.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include "turns.h"

enum { SLICES = 10, PLACES = 64 };

// Where in the library, from its base.
static uintptr_t places[PLACES];
static uintptr_t base[SIDES];
static size_t functions;

static int count_function(void *data, const e64_symbol *symbol)
{
    (void)data;
    functions += symbol->kind == E64_KIND_FUNCTION && symbol->size > 0;
    return 0;
}

// The middle of functions from everywhere in the table, the last ones first.
static int take_function(void *data, const e64_symbol *symbol)
{
    size_t *seen = data;
    if (symbol->kind != E64_KIND_FUNCTION || symbol->size == 0)
        return 0;
    for (size_t i = 0; i < PLACES; i++)
        if (*seen == functions * (PLACES - i) / PLACES - 1)
            places[i] = (uintptr_t)symbol->address + symbol->size / 2
                        - base[OURS];
    (*seen)++;
    return 0;
}

static uintptr_t ask_theirs(uintptr_t place)
{
    Dl_info info;
    if (dladdr((void *)(base[THEIRS] + place), &info) == 0 || !info.dli_sname)
        errx(4, "dladdr knows nothing at %#lx", place);
    return (uintptr_t)info.dli_saddr - base[THEIRS];
}

static uintptr_t ask_ours(uintptr_t place)
{
    e64_place found;
    if (e64_whence((void *)(base[OURS] + place), &found, NULL) != E64_OK
        || !found.symbol)
        errx(4, "e64_whence knows nothing at %#lx", place);
    return (uintptr_t)found.address - base[OURS];
}

static void many_theirs(const void *data, long times)
{
    (void)data;
    for (long i = 0; i < times; i++)
        ask_theirs(places[i % PLACES]);
}

static void many_ours(const void *data, long times)
{
    (void)data;
    for (long i = 0; i < times; i++)
        ask_ours(places[i % PLACES]);
}

static void open_both(const char *path)
{
    // What runs no constructors cannot be disturbed by those of the other copy.
    e64_open_options options = { .struct_size = sizeof options, .hold = 1 };
    e64_runtime *runtime;
    e64_plugin *plugin;
    e64_plugin_info info;
    size_t seen = 0;

    // What glibc has mapped would be the host's for the loader: so it is first.
    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK
        || e64_open(runtime, path, &options, &plugin, NULL) != E64_OK)
        errx(4, "%s", e64_last_error()->message);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        errx(4, "%s", dlerror());
    e64_plugin_describe(plugin, &info);
    struct link_map *map = handle;
    base[OURS] = info.base;
    base[THEIRS] = map->l_addr;
    e64_symbols(plugin, count_function, NULL);
    if (functions < PLACES)
        errx(4, "%s has less than %d functions", path, PLACES);
    e64_symbols(plugin, take_function, &seen);
}

int main(int count, char **words)
{
    static const work sides[SIDES] = { many_theirs, many_ours };
    int64_t first[SIDES], hot[SIDES];

    // The program's file has a digest for a name.
    program_invocation_short_name = "whence";
    if (count != 2)
        errx(2, "see the head of whence.c");
    // What libraries print is not the result.
    int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    if (out < 0 || dup2(2, 1) < 0)
        err(3, "standard output");
    open_both(words[1]);
    for (int side = 0; side < SIDES; side++) {
        int64_t begin = now();
        sides[side](NULL, 1);
        first[side] = (now() - begin) * 1000;
    }
    // One symbol may have several names, but it has one address.
    for (int i = 0; i < PLACES; i++)
        if (ask_theirs(places[i]) != ask_ours(places[i]))
            errx(4, "the sides do not agree on %#lx", places[i]);
    take_turns(sides, NULL, SLICES, PLACES, hot);
    for (int side = 0; side < SIDES; side++)
        dprintf(out, "%d first=%ld hot=%ld\n", side + 1, first[side], hot[side]);
    // Destructors are not what this is about.
    _exit(0);
}
