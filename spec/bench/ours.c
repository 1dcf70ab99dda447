// The loader's side of the bench, through its public C API.

#include <elf64load.h>
#include <err.h>
#include <stddef.h>

#include "constructors.h"
#include "opener.h"

// With which policy, by an expression: the row `policy` gives one.
#ifndef POLICY
#define POLICY NULL
#endif

static e64_runtime *runtime;

static void check(e64_status status)
{
    if (status != E64_OK)
        errx(4, "%s: %s", e64_status_name(status), e64_last_error()->message);
}

static void prepare(void)
{
    if (!runtime)
        check(e64_runtime_new(POLICY, &runtime, NULL));
}

void *opener_open(const char *path)
{
    e64_plugin *plugin;
    prepare();
    check(e64_open(runtime, path, NULL, &plugin, NULL));
    return plugin;
}

void opener_close(void *opened)
{
    check(e64_close(opened, NULL));
}

void opener_dependency(const char *path)
{
    opener_open(path);
}

bool opener_has(const char *path)
{
    e64_open_options options = { .struct_size = sizeof options, .noload = 1 };
    e64_plugin *plugin;
    return runtime && e64_open(runtime, path, &options, &plugin, NULL) == E64_OK;
}

void *opener_function(const char *path, const char *name)
{
    e64_symbol symbol;
    check(e64_lookup(opener_open(path), name, NULL, &symbol, NULL));
    return symbol.address;
}

const char *opener_linked(const char *object)
{
    return object;
}

// Opened by `hold` and started by a second call, so that what constructors do
// is apart: all of the first call counts, and of the second, which runs IFUNC
// resolvers and constructors, all but what the loader itself measured around
// each constructor. Constructors of what glibc maps for the loader do not
// count, as on the other side.
void opener_measure(const char *path, bool lazy, struct sample *sample)
{
    e64_open_options options = { .struct_size = sizeof options, .hold = 1,
                                 .lazy = lazy };
    e64_plugin *plugin;
    e64_plugin_info info;

    constructors_watch();
    int64_t begin = now();
    prepare();
    int64_t ready = now();
    check(e64_open(runtime, path, &options, &plugin, NULL));
    int64_t bound = now();
    struct constructors counts = constructors_stop();
    int64_t start = now();
    check(e64_start(plugin, NULL));
    int64_t end = now();

    e64_plugin_describe(plugin, &info);
    int64_t constructors = info.times.start;
    sample->setup = ready - begin;
    sample->init = constructors + counts.running;
    sample->map = info.times.map;
    sample->resolve = info.times.resolve;
    sample->apply = info.times.apply + info.times.ifunc;
    sample->total = bound - begin - counts.running - counts.watching
                    + end - start - constructors;
}
