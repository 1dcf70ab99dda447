// Looks names up in a plugin that both sides have opened, by turns, and opens it
// again and again.
//
//     lookup PLUGIN DEPENDENCIES
//
// lookup.lua makes the plugin and so many dependencies. Prints a line for each
// side: its number and NAME=VALUE, times in picoseconds.

#include <dlfcn.h>
#include <elf64load.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include "turns.h"

// A slice is short enough for some of them to be left alone by other work.
enum { SLICES = 50, TIMES = 256, NAMES = 64 };

static const char *path;
static void *theirs;
static e64_runtime *runtime;
static e64_plugin *ours;
static char deep[NAMES][64], missing[NAMES][64];
static e64_key *hot_key, *deep_keys[NAMES], *missing_keys[NAMES];

static void fail(void)
{
    errx(4, "%s", e64_last_error()->message);
}

static void same(const char *name, void *address)
{
    if (!address)
        errx(4, "%s was not found", name);
}

static void none(const char *name, void *address)
{
    if (address)
        errx(4, "%s was found", name);
}

static void hot_theirs(long times)
{
    for (long i = 0; i < times; i++)
        same("plugin_function_7", dlsym(theirs, "plugin_function_7"));
}

static void hot_ours(long times)
{
    for (long i = 0; i < times; i++)
        same("plugin_function_7", e64_address(ours, "plugin_function_7"));
}

static void deep_theirs(long times)
{
    for (long i = 0; i < times; i++)
        same(deep[i % NAMES], dlsym(theirs, deep[i % NAMES]));
}

static void deep_ours(long times)
{
    for (long i = 0; i < times; i++)
        same(deep[i % NAMES], e64_address(ours, deep[i % NAMES]));
}

static void miss_theirs(long times)
{
    for (long i = 0; i < times; i++)
        none(missing[i % NAMES], dlsym(theirs, missing[i % NAMES]));
}

static void miss_ours(long times)
{
    for (long i = 0; i < times; i++)
        none(missing[i % NAMES], e64_address(ours, missing[i % NAMES]));
}

static void *by_key(const e64_key *key)
{
    e64_symbol symbol;
    return e64_lookup_key(ours, key, &symbol, NULL) == E64_OK ? symbol.address
                                                              : NULL;
}

static void hot_by_key(long times)
{
    for (long i = 0; i < times; i++)
        same("plugin_function_7", by_key(hot_key));
}

static void deep_by_key(long times)
{
    for (long i = 0; i < times; i++)
        same(deep[i % NAMES], by_key(deep_keys[i % NAMES]));
}

static void miss_by_key(long times)
{
    for (long i = 0; i < times; i++)
        none(missing[i % NAMES], by_key(missing_keys[i % NAMES]));
}

static void reopen_theirs(long times)
{
    for (long i = 0; i < times; i++) {
        void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (again != theirs || dlclose(again) != 0)
            errx(4, "%s: %s", path, dlerror());
    }
}

static void reopen_ours(long times)
{
    for (long i = 0; i < times; i++) {
        e64_plugin *again;
        if (e64_open(runtime, path, NULL, &again, NULL) != E64_OK
            || again != ours || e64_close(again, NULL) != E64_OK)
            fail();
    }
}

static void make_key(const char *name, e64_key **key)
{
    if (e64_key_new(name, NULL, key, NULL) != E64_OK)
        fail();
}

// That what both sides have found is the same function.
static void check(const char *name)
{
    int (*left)(void) = (int (*)(void))dlsym(theirs, name);
    int (*right)(void) = (int (*)(void))e64_address(ours, name);
    if (!left || !right || left() != right())
        errx(4, "%s is not the same on both sides", name);
}

int main(int count, char **words)
{
    static const struct {
        const char *name;
        work sides[SIDES];
    } kinds[] = {
        { "hot", { hot_theirs, hot_ours } },
        { "deep", { deep_theirs, deep_ours } },
        { "miss", { miss_theirs, miss_ours } },
        { "hotkey", { hot_theirs, hot_by_key } },
        { "deepkey", { deep_theirs, deep_by_key } },
        { "misskey", { miss_theirs, miss_by_key } },
        { "reopen", { reopen_theirs, reopen_ours } },
    };
    enum { KINDS = sizeof kinds / sizeof *kinds };
    int64_t least[KINDS][SIDES];

    // The program's file has a digest for a name.
    program_invocation_short_name = "lookup";
    if (count != 3)
        errx(2, "see the head of lookup.c");
    path = words[1];
    for (int i = 0; i < NAMES; i++) {
        snprintf(deep[i], sizeof deep[i], "dependency_%d_function_%d",
                 atoi(words[2]), i + 1);
        snprintf(missing[i], sizeof missing[i], "dependency_%d_missing_%d",
                 i % atoi(words[2]) + 1, i + 1);
    }
    make_key("plugin_function_7", &hot_key);
    for (int i = 0; i < NAMES; i++) {
        make_key(deep[i], &deep_keys[i]);
        make_key(missing[i], &missing_keys[i]);
    }
    // What glibc has mapped would be the host's for the loader: so it is first.
    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK
        || e64_open(runtime, path, NULL, &ours, NULL) != E64_OK)
        fail();
    theirs = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!theirs)
        errx(4, "%s", dlerror());
    check("plugin_function_7");
    for (int i = 0; i < NAMES; i++)
        check(deep[i]);

    for (int i = 0; i < KINDS; i++)
        take_turns(kinds[i].sides, SLICES, TIMES, least[i]);
    for (int side = 0; side < SIDES; side++) {
        printf("%d", side + 1);
        for (int i = 0; i < KINDS; i++)
            printf(" %s=%ld", kinds[i].name, least[i][side]);
        putchar('\n');
    }
    e64_key_free(hot_key);
    for (int i = 0; i < NAMES; i++) {
        e64_key_free(deep_keys[i]);
        e64_key_free(missing_keys[i]);
    }
    return 0;
}
