// dlerror, as plugins see it: each thread's last failure, ours or glibc's.

#include "dl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../host/forward.h"

// Who had the last word. At first glibc has: what a plugin did before it could
// call us was not done by it.
enum last { LAST_GLIBC, LAST_NONE, LAST_OURS };

struct state {
    enum last last;
    char *text;  // LAST_OURS
    char *given; // what dlerror answered last, which the caller may still read
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

static void free_state(void *data)
{
    struct state *state = data;
    free(state->text);
    free(state->given);
    free(state);
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, free_state) == 0;
}

// This thread's, or NULL for want of memory. From malloc as in error.c: it
// outlives runtimes.
static struct state *mine(void)
{
    pthread_once(&once, make_key);
    struct state *state = have_key ? pthread_getspecific(key) : NULL;
    if (state || !have_key)
        return state;
    state = calloc(1, sizeof *state);
    if (state && pthread_setspecific(key, state) == 0)
        return state;
    free(state);
    return NULL;
}

static void set(enum last last, char *text)
{
    struct state *state = mine();
    if (!state) {
        free(text);
        return;
    }
    free(state->text);
    state->text = text;
    state->last = last;
}

void dl_succeeded(void)
{
    set(LAST_NONE, NULL);
}

void dl_passed(void)
{
    set(LAST_GLIBC, NULL);
}

void dl_failed(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    set(LAST_OURS, text);
}

char *dl_error(e64_plugin *caller)
{
    static char nothing_to_say_it_with[] = "out of memory";
    struct state *state = mine();
    (void)caller;
    if (!state || state->last == LAST_GLIBC)
        return host_glibc()->dlerror();
    bool failed = state->last == LAST_OURS;
    host_glibc()->dlerror(); // what it had to say has been overtaken
    free(state->given);
    state->given = state->text;
    state->text = NULL;
    state->last = LAST_NONE;
    if (!failed)
        return NULL;
    return state->given ? state->given : nothing_to_say_it_with;
}
