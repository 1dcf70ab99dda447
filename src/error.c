// The thread's failures: one pending, one handed out last.

#include "error.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"

struct failures {
    e64_error pending;
    e64_error last;
    // What `last` is to be made of when it is asked for, or NULL.
    void (*tell)(const void *data);
    _Alignas(8) char data[ERROR_LATER];
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

// What threads share that cannot get memory for a struct of their own. A
// garbled message is then better than none.
static struct failures emergency;

// The thread's, once it has some: the key is there to free them.
static __thread struct failures *own
    __attribute__((tls_model("initial-exec")));

static void give_back(void *failures)
{
    own = NULL;
    free(failures);
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, give_back) == 0;
}

static struct failures *mine(void)
{
    if (own)
        return own;
    pthread_once(&once, make_key);
    if (!have_key)
        return &emergency;
    // Not through the caller's allocator: this memory outlives runtimes, and
    // a failing allocator is just what it may have to report.
    struct failures *failures = calloc(1, sizeof *failures);
    if (failures && pthread_setspecific(key, failures) == 0)
        return own = failures;
    free(failures);
    return &emergency;
}

static void clear(e64_error *error)
{
    memset(error, 0, offsetof(e64_error, storage));
    error->message = "";
}

// Copies a text into the storage; what does not fit is cut and ends in "...".
static const char *keep(e64_error *error, const char *text)
{
    if (!text)
        return NULL;
    size_t room = sizeof error->storage - error->used;
    size_t length = strlen(text);
    if (room < 8)
        return "...";
    char *copy = error->storage + error->used;
    if (length >= room) {
        length = room - 1;
        memcpy(copy, text, length - 3);
        memcpy(copy + length - 3, "...", 3);
    } else {
        memcpy(copy, text, length);
    }
    copy[length] = '\0';
    error->used += length + 1;
    return copy;
}

// Room for pointers, the last one of which is NULL; NULL when there is none, or
// fewer than count + 1, which is put right.
static const char **keep_pointers(e64_error *error, size_t *count)
{
    size_t start = (error->used + 7) & ~(size_t)7;
    size_t most = start >= sizeof error->storage ? 0
                : (sizeof error->storage - start) / (2 * sizeof(char *));
    if (most < 2)
        return NULL;
    if (*count > most - 1)
        *count = most - 1;
    const char **list = (const char **)(void *)(error->storage + start);
    memset(list, 0, (*count + 1) * sizeof *list);
    error->used = start + (*count + 1) * sizeof *list;
    return list;
}

static bool fits(const e64_error *error, const char *text)
{
    return strlen(text) < sizeof error->storage - error->used;
}

// What does not fit is left out.
static const char *const *keep_list(e64_error *error,
                                    const char *const *names, size_t count)
{
    const char **list = keep_pointers(error, &count);
    for (size_t i = 0; list && i < count && fits(error, names[i]); i++)
        list[i] = keep(error, names[i]);
    return list;
}

static void format_message(e64_error *error, const char *format, va_list args)
{
    // A third of the storage stays for the details.
    size_t room = sizeof error->storage * 2 / 3;
    int length = vsnprintf(error->storage, room, format, args);
    if (length < 0)
        length = 0;
    if ((size_t)length >= room) {
        length = (int)room - 1;
        memcpy(error->storage + length - 3, "...", 3);
    }
    error->message = error->storage;
    error->used = (size_t)length + 1;
}

e64_status fail(e64_status status, const char *format, ...)
{
    e64_error *error = &mine()->pending;
    clear(error);
    error->status = status;
    va_list args;
    va_start(args, format);
    format_message(error, format, args);
    va_end(args);
    return status;
}

e64_status fail_system(const char *format, ...)
{
    int number = errno;
    char limit[192];
    limit_explain(number, limit, sizeof limit);
    e64_error *error = &mine()->pending;
    clear(error);
    error->status = number == ENOMEM ? E64_NOMEMORY : E64_SYSTEM;
    error->system_errno = number;
    va_list args;
    va_start(args, format);
    format_message(error, format, args);
    va_end(args);
    size_t end = error->used - 1;
    int added = snprintf(error->storage + end, sizeof error->storage - end,
                         ": %s%s", strerror(number), limit);
    error->used += added > 0 ? (size_t)added : 0;
    return error->status;
}

e64_status fail_thread(int number)
{
    char limit[192];
    limit_explain_threads(limit, sizeof limit);
    e64_status status = fail(E64_SYSTEM, "threads cannot be created: %s%s",
                             strerror(number), limit);
    error_errno(number);
    return status;
}

e64_status fail_memory(size_t size)
{
    char limit[192];
    limit_explain(ENOMEM, limit, sizeof limit);
    return fail(E64_NOMEMORY, "out of memory: %zu bytes could not be "
                "allocated%s", size, limit);
}

void error_wanter(const char *wanter)
{
    e64_error *error = &mine()->pending;
    error->wanter = keep(error, wanter);
}

void error_path(const char *path)
{
    e64_error *error = &mine()->pending;
    error->path = keep(error, path);
}

void error_errno(int number)
{
    mine()->pending.system_errno = number;
}

void error_symbol(const char *symbol, const char *version)
{
    e64_error *error = &mine()->pending;
    error->symbol = keep(error, symbol);
    error->version = keep(error, version);
}

void error_scopes(const char *const *names, size_t count)
{
    e64_error *error = &mine()->pending;
    error->scopes = keep_list(error, names, count);
}

void error_near(const char *const *names, size_t count)
{
    e64_error *error = &mine()->pending;
    error->near = keep_list(error, names, count);
}

void error_versions(const char *const *names, size_t count)
{
    e64_error *error = &mine()->pending;
    error->versions = keep_list(error, names, count);
}

void error_demangled(const char *demangled)
{
    e64_error *error = &mine()->pending;
    error->demangled = keep(error, demangled);
}

void error_advice(const char *advice)
{
    e64_error *error = &mine()->pending;
    error->advice = keep(error, advice);
}

// The same as the one before, which need not be kept twice.
static const char *keep_again(e64_error *error, const char *const *list,
                              size_t at, const char *text)
{
    return at > 0 && strcmp(list[at - 1], text) == 0 ? list[at - 1]
                                                      : keep(error, text);
}

// How many fit, with their three pointers each, when something is left for what
// else is to be said.
static size_t count_fitting(const e64_error *error,
                            const struct error_missing *missing, size_t count)
{
    size_t room = sizeof error->storage - error->used, size = 512;
    for (size_t i = 0; i < count; i++) {
        const struct error_missing *one = &missing[i];
        size += 3 * sizeof(char *) + strlen(one->symbol) + 1;
        if (i == 0 || strcmp(one->version, one[-1].version) != 0)
            size += strlen(one->version) + 1;
        if (i == 0 || strcmp(one->wanter, one[-1].wanter) != 0)
            size += strlen(one->wanter) + 1;
        if (size > room)
            return i;
    }
    return count;
}

void error_missing(const struct error_missing *missing, size_t count)
{
    e64_error *error = &mine()->pending;
    count = count_fitting(error, missing, count);
    const char **lists[3];
    for (int i = 0; i < 3; i++)
        if (!(lists[i] = keep_pointers(error, &count)))
            return;
    for (size_t i = 0; i < count; i++) {
        lists[0][i] = keep(error, missing[i].symbol);
        lists[1][i] = keep_again(error, lists[1], i, missing[i].version);
        lists[2][i] = keep_again(error, lists[2], i, missing[i].wanter);
    }
    error->missing = lists[0];
    error->missing_versions = lists[1];
    error->missing_wanters = lists[2];
}

const e64_error *error_pending(void)
{
    return &mine()->pending;
}

// The strings of a failure point into its own storage or are literals.
static const char *moved(const e64_error *from, e64_error *to, const char *text)
{
    if (text < from->storage || text >= from->storage + sizeof from->storage)
        return text;
    return to->storage + (text - from->storage);
}

static const char *const *moved_list(const e64_error *from, e64_error *to,
                                     const char *const *list)
{
    if (!list)
        return NULL;
    size_t start = (size_t)((const char *)list - from->storage);
    const char **copies = (const char **)(void *)(to->storage + start);
    for (size_t i = 0; list[i]; i++)
        copies[i] = moved(from, to, list[i]);
    return (const char *const *)copies;
}

static void copy(const e64_error *from, e64_error *to)
{
    memcpy(to, from, offsetof(e64_error, storage) + from->used);
    to->message = from->message ? moved(from, to, from->message) : "";
    to->wanter = moved(from, to, from->wanter);
    to->path = moved(from, to, from->path);
    to->symbol = moved(from, to, from->symbol);
    to->version = moved(from, to, from->version);
    to->scopes = moved_list(from, to, from->scopes);
    to->near = moved_list(from, to, from->near);
    to->missing = moved_list(from, to, from->missing);
    to->missing_versions = moved_list(from, to, from->missing_versions);
    to->missing_wanters = moved_list(from, to, from->missing_wanters);
    to->versions = moved_list(from, to, from->versions);
    to->demangled = moved(from, to, from->demangled);
    to->advice = moved(from, to, from->advice);
}

void error_save(e64_error *into)
{
    copy(&mine()->pending, into);
}

void error_restore(const e64_error *from)
{
    copy(from, &mine()->pending);
}

__attribute__((noinline)) void error_about(const char *path)
{
    const e64_error *pending = &mine()->pending;
    e64_error error;
    if ((pending->status != E64_NOMEMORY && pending->status != E64_SYSTEM)
        || pending->path || strstr(pending->message, path))
        return;
    error_save(&error);
    fail(error.status, "%s: %s", path, error.message);
    error_errno(error.system_errno);
    error_path(path);
    error_wanter(error.wanter);
}

void error_instead(const char *name, const char *who, const char *wanter)
{
    e64_error *error = &mine()->pending;
    char *text = error->storage + error->used;
    size_t room = sizeof error->storage - error->used;
    if (!error->path || strcmp(error->path, name) == 0)
        return;
    // Of one that leaves no room for it, the message stays as it is.
    int length = snprintf(text, room, "%s; it is what %s for '%s'%s%s%s",
                          error->message, who, name, wanter ? ", which " : "",
                          wanter ? wanter : "", wanter ? " needs" : "");
    if (length < 0 || (size_t)length >= room)
        return;
    error->message = text;
    error->used += (size_t)length + 1;
}

e64_status error_give(e64_status status, e64_error *into)
{
    if (status == E64_OK)
        return status;
    struct failures *failures = mine();
    copy(&failures->pending, into ? into : &failures->last);
    if (!into)
        failures->tell = NULL;
    return status;
}

void *error_later(void (*tell)(const void *data))
{
    struct failures *failures = mine();
    failures->tell = tell;
    return failures->data;
}

const e64_error *e64_last_error(void)
{
    struct failures *failures = mine();
    e64_error *last = &failures->last;
    void (*tell)(const void *data) = failures->tell;
    failures->tell = NULL;
    if (tell) {
        tell(failures->data);
        copy(&failures->pending, last);
    }
    if (!last->message)
        last->message = "";
    return last;
}

const char *e64_status_name(e64_status status)
{
    static const char *const names[] = {
        [E64_OK] = "ok",
        [E64_NOTFOUND] = "notfound",
        [E64_BADFORMAT] = "badformat",
        [E64_BADARCH] = "badarch",
        [E64_UNSUPPORTED] = "unsupported",
        [E64_UNDEFINED] = "undefined",
        [E64_VERSION] = "version",
        [E64_DENIED] = "denied",
        [E64_NOMEMORY] = "nomemory",
        [E64_SYSTEM] = "system",
        [E64_HOOK] = "hook",
        [E64_START] = "start",
        [E64_INUSE] = "inuse",
        [E64_DUPLICATE] = "duplicate",
        [E64_CHANGED] = "changed",
        [E64_CLOSED] = "closed",
        [E64_INVALID] = "invalid",
    };
    if ((size_t)status >= sizeof names / sizeof *names)
        return "unknown";
    return names[status];
}
