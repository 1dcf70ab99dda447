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
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "turns.h"

// A slice is short enough for some of them to be left alone by other work.
enum { SLICES = 50, TIMES = 256, NAMES = 64 };

static const char *path;
static void *theirs;
static e64_runtime *runtime;
static e64_plugin *ours;

// Names that are asked for by turns: one of them, or all.
static struct question {
    long last;  // of the names, counted from 0: a mask
    bool there; // whether such are defined
    char names[NAMES][64];
    e64_key *keys[NAMES];
} hot = { .last = 0, .there = true },
  deep = { .last = NAMES - 1, .there = true },
  missing = { .last = NAMES - 1, .there = false };

_Static_assert((NAMES & (NAMES - 1)) == 0, "NAMES - 1 is a mask");

static void fail(void)
{
    errx(4, "%s", e64_last_error()->message);
}

static inline void expect(const struct question *question, long at,
                          const void *address)
{
    if ((address != NULL) != question->there)
        errx(4, "%s was %sfound", question->names[at],
             question->there ? "not " : "");
}

static void ask_theirs(const void *data, long times)
{
    const struct question *question = data;
    for (long i = 0; i < times; i++) {
        long at = i & question->last;
        expect(question, at, dlsym(theirs, question->names[at]));
    }
}

static void ask_ours(const void *data, long times)
{
    const struct question *question = data;
    for (long i = 0; i < times; i++) {
        long at = i & question->last;
        expect(question, at, e64_address(ours, question->names[at]));
    }
}

static void ask_by_key(const void *data, long times)
{
    const struct question *question = data;
    for (long i = 0; i < times; i++) {
        long at = i & question->last;
        e64_symbol symbol;
        bool found = e64_lookup_key(ours, question->keys[at], &symbol, NULL)
                  == E64_OK;
        expect(question, at, found ? symbol.address : NULL);
    }
}

static void reopen_theirs(const void *data, long times)
{
    (void)data;
    for (long i = 0; i < times; i++) {
        void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (again != theirs || dlclose(again) != 0)
            errx(4, "%s: %s", path, dlerror());
    }
}

static void reopen_ours(const void *data, long times)
{
    (void)data;
    for (long i = 0; i < times; i++) {
        e64_plugin *again;
        if (e64_open(runtime, path, NULL, &again, NULL) != E64_OK
            || again != ours || e64_close(again, NULL) != E64_OK)
            fail();
    }
}

static void make_keys(struct question *question)
{
    for (long i = 0; i <= question->last; i++)
        if (e64_key_new(question->names[i], NULL, &question->keys[i], NULL)
            != E64_OK)
            fail();
}

static void free_keys(struct question *question)
{
    for (long i = 0; i <= question->last; i++)
        e64_key_free(question->keys[i]);
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
        const struct question *question;
        work sides[SIDES];
    } kinds[] = {
        { "hot", &hot, { ask_theirs, ask_ours } },
        { "deep", &deep, { ask_theirs, ask_ours } },
        { "miss", &missing, { ask_theirs, ask_ours } },
        { "hotkey", &hot, { ask_theirs, ask_by_key } },
        { "deepkey", &deep, { ask_theirs, ask_by_key } },
        { "misskey", &missing, { ask_theirs, ask_by_key } },
        { "reopen", NULL, { reopen_theirs, reopen_ours } },
    };
    enum { KINDS = sizeof kinds / sizeof *kinds };
    int64_t least[KINDS][SIDES];

    // The program's file has a digest for a name.
    program_invocation_short_name = "lookup";
    if (count != 3)
        errx(2, "see the head of lookup.c");
    path = words[1];
    strcpy(hot.names[0], "plugin_function_7");
    for (int i = 0; i < NAMES; i++) {
        snprintf(deep.names[i], sizeof deep.names[i],
                 "dependency_%d_function_%d", atoi(words[2]), i + 1);
        snprintf(missing.names[i], sizeof missing.names[i],
                 "dependency_%d_missing_%d", i % atoi(words[2]) + 1, i + 1);
    }
    make_keys(&hot);
    make_keys(&deep);
    make_keys(&missing);
    // What glibc has mapped would be the host's for the loader: so it is first.
    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK
        || e64_open(runtime, path, NULL, &ours, NULL) != E64_OK)
        fail();
    theirs = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!theirs)
        errx(4, "%s", dlerror());
    check(hot.names[0]);
    for (int i = 0; i < NAMES; i++)
        check(deep.names[i]);

    for (int i = 0; i < KINDS; i++)
        take_turns(kinds[i].sides, kinds[i].question, SLICES, TIMES, least[i]);
    for (int side = 0; side < SIDES; side++) {
        printf("%d", side + 1);
        for (int i = 0; i < KINDS; i++)
            printf(" %s=%ld", kinds[i].name, least[i][side]);
        putchar('\n');
    }
    free_keys(&hot);
    free_keys(&deep);
    free_keys(&missing);
    return 0;
}
