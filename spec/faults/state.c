#include "state.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf64load.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"
#include "tls/pool.h"

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

// -------------------------------------------------------- the allocator ---

// What it has given out.
static long blocks;
static size_t bytes, taken; // as asked for, and as malloc counts
static long asked, due;
static bool failed, following;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t cost(void *block)
{
    return block ? malloc_usable_size(block) + sizeof(size_t) : 0;
}

static bool is_due(void)
{
    asked++;
    bool fails = due && (asked == due || (following && asked > due));
    failed |= fails;
    return fails;
}

// In front of each block lies its size.
enum { FRONT = 16 };

static void *resize(void *data, void *block, size_t size)
{
    char *front = block ? (char *)block - FRONT : NULL, *made = NULL;
    size_t before = 0;
    (void)data;
    if (front)
        memcpy(&before, front, sizeof before);
    pthread_mutex_lock(&lock);
    size_t cost_before = cost(front);
    if (size == 0) {
        free(front);
    } else if (!is_due()) {
        made = realloc(front, size + FRONT);
        // The system call that the heap grows by may be the one that fails.
        if (made)
            memcpy(made, &size, sizeof size);
    }
    if (made || size == 0) {
        blocks += (made != NULL) - (front != NULL);
        bytes += size - before;
        taken += cost(made) - cost_before;
    }
    pthread_mutex_unlock(&lock);
    return made ? made + FRONT : NULL;
}

void state_allocator(void)
{
    const e64_allocator allocator = { sizeof allocator, resize, NULL };
    e64_set_allocator(&allocator, NULL);
}

void state_fail(long at, bool all)
{
    asked = 0;
    due = at;
    following = all;
    failed = false;
}

long state_asked(void)
{
    return asked;
}

bool state_failed(void)
{
    return failed;
}

// ------------------------------------------------------------ the lines ---

const char *state_folder;

static void say(struct state *state, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(state->text + state->size,
                           sizeof state->text - state->size, format, args);
    va_end(args);
    state->size += (size_t)length;
    if (state->size >= sizeof state->text)
        abort();
}

// The heap and the stack grow as they like; a sanitizer maps memory of its own
// at any time.
static bool is_passing(const char *path)
{
    return strcmp(path, "[heap]") == 0 || strcmp(path, "[stack]") == 0
        || (SANITIZED && path[0] != '/');
}

// Where else malloc's heap is: each attempt may add one.
static struct heap {
    unsigned long from, to;
} heaps[2];
static int heap_count;

void state_heap(unsigned long from, unsigned long to)
{
    heaps[heap_count++] = (struct heap){ from, to };
}

static bool is_plugin(const char *path)
{
    return state_folder && strncmp(path, state_folder,
                                   strlen(state_folder)) == 0;
}

// An anchor, by which glibc knows the loader, may stay.
static bool is_linked(const char *path)
{
    return strncmp(path, "/memfd:", 7) == 0
        && strncmp(path, "/memfd:elf64load-", 17) != 0;
}

// The kernel joins the heap with what it borders on: that is said as if the heap
// were not there.
static void say_mapping(struct state *state, unsigned long from,
                        unsigned long to, const char *mode, const char *path)
{
    for (int i = 0; i < heap_count; i++)
        if (from <= heaps[i].from && heaps[i].to <= to) {
            say_mapping(state, from, heaps[i].from, mode, path);
            say_mapping(state, heaps[i].to, to, mode, path);
            return;
        }
    if (from < to)
        say(state, "map %lx-%lx %s %s\n", from, to, mode, path);
}

// Objects that are linked again come to other addresses: what lies there is said
// after all else.
static void add_mapping(struct state *state, enum state_kind kind,
                        const char *line, bool linked)
{
    unsigned long from, to;
    char mode[5], path[4096] = "";
    sscanf(line, "%lx-%lx %4s %*s %*s %*s %4095s", &from, &to, mode, path);
    if (is_passing(path) || linked != is_linked(path))
        return;
    if (kind == STATE_EXACT || (kind == STATE_AGAIN && !linked))
        say_mapping(state, from, to, mode, path);
    else if (linked || is_plugin(path)) // glibc's own may be left by a failing dlopen
        say(state, "map %lx %s %s\n", to - from, mode, path);
}

static void add_mappings(struct state *state, enum state_kind kind)
{
    static char maps[1 << 17];
    size_t size = 0;
    ssize_t got;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while ((got = read(fd, maps + size, sizeof maps - 1 - size)) > 0)
        size += (size_t)got;
    close(fd);
    maps[size] = '\0';
    for (int linked = 0; linked < 2; linked++) {
        for (char *line = maps, *end; (end = strchr(line, '\n'));
             line = end + 1) {
            *end = '\0';
            add_mapping(state, kind, line, linked);
            *end = '\n';
        }
    }
}

// The same is true of copies of objects that are kept to be linked again.
static void add_descriptors(struct state *state, enum state_kind kind,
                            bool linked)
{
    for (int fd = 0; fd < 64; fd++) {
        char link[64], target[1024];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        if (size <= 0 || linked != is_linked(target))
            continue;
        say(state, "descriptor %d %s\n",
            linked && kind != STATE_EXACT ? -1 : fd, target);
    }
}

struct objects {
    struct state *state;
    enum state_kind kind;
};

static int add_object(struct dl_phdr_info *info, size_t size, void *data)
{
    const struct objects *objects = data;
    (void)size;
    // An anchor's number is that of its descriptor.
    bool anchor = strncmp(info->dlpi_name, "/proc/self/fd", 13) == 0;
    if (objects->kind != STATE_OWN || is_plugin(info->dlpi_name))
        say(objects->state, "object %s %d\n",
            anchor ? "(an anchor)" : info->dlpi_name, info->dlpi_phnum);
    return 0;
}

static int add_plugin(void *data, e64_plugin *plugin)
{
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    say(data, "plugin %s %s, state %d, handles %u\n", info.name, info.path,
        (int)info.state, info.handles);
    return 0;
}

// GDB's manual, "JIT Compilation Interface".
struct jit_code_entry {
    struct jit_code_entry *next, *previous;
    const char *file;
    uint64_t size;
};

extern struct {
    uint32_t version, action;
    struct jit_code_entry *relevant, *first;
} __jit_debug_descriptor;

static void add_debugged(struct state *state)
{
    const struct jit_code_entry *entry = __jit_debug_descriptor.first;
    int count = 0;
    for (; entry; entry = entry->next)
        count++;
    say(state, "debugger %d objects, action %u\n", count,
        __jit_debug_descriptor.action);
}

// What malloc has given to others. A block may have a few bytes more than the
// last time.
static size_t other_memory(void)
{
    enum { FEW = 256 };
    static size_t shown;
    struct mallinfo2 info = mallinfo2();
    size_t now = info.uordblks + info.hblkhd - taken;
    if (now > shown + FEW || now + FEW < shown)
        shown = now;
    return shown;
}

static void add_memory(struct state *state, enum state_kind kind)
{
    struct pool_space space;
    pool_measure(&space);
    say(state, "pool %lu taken\n", space.taken);
    if (kind == STATE_OWN)
        return;
    // Variables of a plugin that ran are not zero any more.
    if (kind == STATE_EXACT)
        say(state, "pool %lu never used\n", space.fresh);
    say(state, "allocator %ld blocks, %zu bytes\n", blocks, bytes);
    if (!SANITIZED && kind != STATE_LASTING) {
        say(state, "malloc %zu\n", other_memory());
    }
}

void state_take(struct state *state, enum state_kind kind)
{
    struct objects objects = { state, kind };
    state->size = 0;
    state->text[0] = '\0';
    dlerror();
    add_memory(state, kind);
    if (scenario_runtime)
        e64_plugins(scenario_runtime, add_plugin, state);
    // Through this program's import, which shows plugins too.
    dl_iterate_phdr(add_object, &objects);
    add_debugged(state);
    add_descriptors(state, kind, false);
    add_descriptors(state, kind, true);
    add_mappings(state, kind);
}

// ------------------------------------------------------------- settling ---

struct question {
    bool (*ask)(const struct scenario *scenario);
    const struct scenario *scenario;
    bool answer;
    pid_t thread;
};

static void *answer(void *data)
{
    struct question *question = data;
    question->thread = gettid();
    question->answer = question->ask(question->scenario);
    return NULL;
}

bool state_in_thread(bool (*ask)(const struct scenario *scenario),
                     const struct scenario *scenario)
{
    struct question question = { ask, scenario, false, 0 };
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, &question) != 0
        || pthread_join(thread, NULL) != 0)
        return false;
    // The driver's alarm ends what never ends.
    while (tgkill(getpid(), question.thread, 0) == 0)
        usleep(1000);
    return question.answer;
}

void state_unwinder(void)
{
    void *frame;
    backtrace(&frame, 1);
}

// ----------------------------------------------------------- comparing ---

static bool has_line(const struct state *state, const char *line, size_t size)
{
    for (const char *at = state->text; *at; at = strchr(at, '\n') + 1)
        if (strncmp(at, line, size) == 0 && at[size] == '\n')
            return true;
    return false;
}

static size_t add_missing(char *buffer, size_t room, char sign,
                          const struct state *from, const struct state *in)
{
    size_t used = 0;
    for (const char *at = from->text, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        size_t size = (size_t)(end - at);
        if (used + size + 8 < room && !has_line(in, at, size))
            used += (size_t)snprintf(buffer + used, room - used,
                                     "\n      %c %.*s", sign, (int)size, at);
    }
    buffer[used] = '\0';
    return used;
}

const char *state_difference(const struct state *a, const struct state *b)
{
    static char buffer[4096];
    if (a->size == b->size && memcmp(a->text, b->text, a->size) == 0)
        return NULL;
    size_t used = add_missing(buffer, sizeof buffer / 2, '-', a, b);
    used += add_missing(buffer + used, sizeof buffer - used, '+', b, a);
    if (!used)
        strcpy(buffer, " another order, or lines more often");
    return buffer;
}
