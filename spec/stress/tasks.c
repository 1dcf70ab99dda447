// What the threads of the stress do, as chance has it.

#include "loaders.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdog.h"

enum { HELD = 4 };

struct worker {
    int number;          // of the thread that stays for a round
    bool brief;          // this is one that it has made
    unsigned long state; // of its random numbers
    struct {
        e64_plugin *plugin;
        int file;
    } held[HELD];
};

static unsigned long seed = 1;
static bool without_fork;
// In a round either children are made or the host opens and closes: ld.so does
// not care for children that are made while it changes its list, and asserts
// itself to death in them.
static atomic_bool forking;
// Into which runtime this thread opens, for constructors that open elsewhere.
static __thread e64_runtime *current;
// How deep this thread is in constructors and destructors; and a child has
// nobody to wait for. In both, what is opened may not have been started.
static __thread int nested;
static bool is_child;

void tasks_seed(unsigned long value)
{
    seed = value;
}

void tasks_without_fork(void)
{
    without_fork = true;
}

void tasks_begin_round(long number)
{
    atomic_store(&forking, number % 2 && !without_fork);
}

// Relaxed: the thread sanitizer is not to take a count for an order.
static long count(atomic_long *counter, long more)
{
    return atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static unsigned random_below(struct worker *worker, unsigned limit)
{
    unsigned long x = worker->state; // xorshift64
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    worker->state = x;
    return (x >> 20) % limit;
}

// One of the files that the thread may open itself; 0 when chance found none.
static int choose(struct worker *worker, bool host)
{
    for (int tries = 0; tries < 200; tries++) {
        int number = (int)random_below(worker, FILES);
        struct file *file = &files[number];
        if (file->path && file->host == host
            && (file->owner < 0 || file->owner == worker->number)
            && (!file->brief || worker->brief))
            return number;
    }
    return 0;
}

// --------------------------------------------------------- using plugins ---

static void close_it(e64_plugin *plugin, int file)
{
    watchdog_push("closes", file);
    if (e64_close(plugin, NULL) != E64_OK)
        wrong(file, "close: %s", e64_last_error()->message);
    watchdog_pop();
}

static e64_plugin *open_with(e64_runtime *runtime, int file,
                             const e64_open_options *options)
{
    e64_plugin *plugin = NULL;
    e64_runtime *outer = current;
    current = runtime;
    watchdog_push(runtime == runtimes[0] ? "opens in 0"
                  : runtime == runtimes[1] ? "opens in 1"
                  : "opens in its own", file);
    if (e64_open(runtime, files[file].path, options, &plugin, NULL) != E64_OK)
        wrong(file, "open: %s", e64_last_error()->message);
    watchdog_pop();
    current = outer;
    count(&counts.opens, 1);
    return plugin;
}

static e64_plugin *open_it(e64_runtime *runtime, int file)
{
    const e64_open_options options = { .struct_size = sizeof options,
                                       .global = files[file].global };
    return open_with(runtime, file, &options);
}

// Its function answers as it must, and its address tells whose it is.
static void check(e64_plugin *plugin, int file, long x)
{
    watchdog_push("calls", file);
    long (*value)(long) = (long (*)(long))e64_entry(plugin, "value");
    e64_place place;
    if (!value)
        wrong(file, "lookup: %s", e64_last_error()->message);
    else if (value(x) != x + file)
        wrong(file, "what `value` answers");
    if (value && e64_whence((const void *)value, &place, NULL) != E64_OK)
        wrong(file, "whence: %s", e64_last_error()->message);
    else if (value && (place.plugin != plugin || !place.symbol
             || (strcmp(place.symbol, "value") != 0
                 && place.address != (void *)value)
             || strcmp(place.file, files[file].path) != 0))
        wrong(file, "`value` lies in %s of %s",
              place.symbol ? place.symbol : "nothing", place.file);
    count(&counts.lookups, 1);
    if (files[file].throws)
        count(&counts.throws, 1);
    watchdog_pop();
}

static void use(struct worker *worker, e64_runtime *runtime, int file)
{
    e64_plugin *plugin = file ? open_it(runtime, file) : NULL;
    if (plugin) {
        check(plugin, file, random_below(worker, 1000));
        close_it(plugin, file);
    }
}

static e64_runtime *any(struct worker *worker)
{
    return runtimes[random_below(worker, RUNTIMES)];
}

static void use_any(struct worker *worker)
{
    use(worker, any(worker), choose(worker, false));
}

static void drop(struct worker *worker, int at)
{
    if (worker->held[at].plugin)
        close_it(worker->held[at].plugin, worker->held[at].file);
    worker->held[at].plugin = NULL;
}

// What stays open for a while.
static void hold(struct worker *worker)
{
    int at = (int)random_below(worker, HELD);
    if (worker->held[at].plugin)
        check(worker->held[at].plugin, worker->held[at].file, at);
    drop(worker, at);
    int file = choose(worker, false);
    if (file && !files[file].brief) {
        worker->held[at].file = file;
        worker->held[at].plugin = open_it(any(worker), file);
        if (worker->held[at].plugin)
            check(worker->held[at].plugin, file, at);
    }
}

static void start_later(struct worker *worker)
{
    int file = choose(worker, false);
    const e64_open_options options = { .struct_size = sizeof options,
                                       .hold = true };
    e64_runtime *runtime = any(worker);
    e64_plugin *plugin = file ? open_with(runtime, file, &options) : NULL;
    if (!plugin)
        return;
    current = runtime;
    watchdog_push("starts", file);
    if (e64_start(plugin, NULL) != E64_OK)
        wrong(file, "start: %s", e64_last_error()->message);
    watchdog_pop();
    current = NULL;
    check(plugin, file, 1);
    close_it(plugin, file);
}

// From a descriptor, as a copy of its own.
static void load(struct worker *worker)
{
    int file = choose(worker, false);
    int descriptor = file && !files[file].stays
                   ? open(files[file].path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    const e64_source source = { .struct_size = sizeof source,
                                .kind = E64_SOURCE_FD, .fd = descriptor,
                                .name = files[file].path };
    const e64_open_options options = { .struct_size = sizeof options,
                                       .private_ = true };
    e64_plugin *plugin;
    current = any(worker);
    watchdog_push("loads", file);
    e64_status status = e64_load(current, &source, &options, &plugin, NULL);
    watchdog_pop();
    current = NULL;
    close(descriptor);
    if (status != E64_OK) {
        wrong(file, "load: %s", e64_last_error()->message);
        return;
    }
    count(&counts.opens, 1);
    check(plugin, file, 2);
    close_it(plugin, file);
}

static int describe(void *data, e64_plugin *plugin)
{
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    return !info.path && info.state != E64_STATE_HOST ? ++*(int *)data : 0;
}

static void walk(struct worker *worker)
{
    int nameless = 0;
    watchdog_push("walks", 0);
    e64_plugins(any(worker), describe, &nameless);
    watchdog_pop();
    if (nameless)
        wrong(0, "a plugin has no path");
}

// A runtime for a moment.
static void use_own(struct worker *worker)
{
    e64_runtime *runtime;
    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK) {
        wrong(0, "runtime: %s", e64_last_error()->message);
        return;
    }
    for (int i = 0; i < 3; i++) {
        int file = choose(worker, false);
        // What stays would stay for each of these.
        if (file && !files[file].foreign && !files[file].brief)
            use(worker, runtime, file);
    }
    watchdog_push("frees a runtime", 0);
    if (e64_runtime_free(runtime, NULL) != E64_OK)
        wrong(0, "runtime: %s", e64_last_error()->message);
    watchdog_pop();
}

// ---------------------------------------------------------------- others ---

// What glibc opens and closes, and promotes to its global scope.
static void use_host(int file, bool promote)
{
    watchdog_push("has glibc open", file);
    void *library = dlopen(files[file].path, RTLD_NOW);
    void *again = promote ? dlopen(files[file].path, RTLD_NOW | RTLD_NOLOAD
                                                     | RTLD_GLOBAL) : NULL;
    watchdog_pop();
    count(&counts.host_opens, 1);
    long (*value)(long) = library ? (long (*)(long))dlsym(library, "value")
                                  : NULL;
    if (!value || (promote && !again))
        wrong(file, "dlopen: %s", dlerror());
    else if (value(4) != 4 + file)
        wrong(file, "what `value` answers");
    watchdog_push("has glibc close", file);
    if (again && dlclose(again) != 0)
        wrong(file, "dlclose: %s", dlerror());
    if (library && dlclose(library) != 0)
        wrong(file, "dlclose: %s", dlerror());
    watchdog_pop();
}

static void use_any_host(struct worker *worker)
{
    int file = choose(worker, true);
    if (file && !atomic_load(&forking))
        use_host(file, random_below(worker, 3) == 0);
}

// Leaves through the frame of a plugin, whose object is destroyed on the way.
static void leave(void *data)
{
    (void)data;
    watchdog_leave();
    pthread_exit(NULL);
}

// A thread that ends soon; it may call what leaves objects in it.
static void *run_brief(void *data)
{
    struct worker *worker = data;
    watchdog_enter(worker->number + thread_count);
    for (int i = random_below(worker, 4); i >= 0; i--)
        use_any(worker);
    if (worker->held[0].plugin) {
        void (*through)(void (*)(void *), void *)
            = (void (*)(void (*)(void *), void *))e64_entry(
                worker->held[0].plugin, "through");
        watchdog_push("ends in", worker->held[0].file);
        through(leave, NULL);
    }
    watchdog_leave();
    return NULL;
}

static void create(struct worker *worker)
{
    struct worker other = { .number = worker->number, .brief = true,
                            .state = worker->state };
    pthread_t thread;
    random_below(worker, 2);
    int file = choose(&other, false);
    if (file && files[file].throws) {
        other.held[0].file = file;
        other.held[0].plugin = open_it(any(worker), file);
    }
    if (pthread_create(&thread, NULL, run_brief, &other) != 0) {
        wrong(0, "pthread_create");
        return;
    }
    count(&counts.threads, 1);
    watchdog_push("waits for a thread", 0);
    pthread_join(thread, NULL);
    watchdog_pop();
    drop(&other, 0);
}

// ----------------------------------------------------------------- forks ---

static int run_child(struct worker *worker)
{
    is_child = true;
    for (int i = 0; i < 4; i++)
        use_any(worker);
    use_own(worker);
    for (int i = 0; i < HELD; i++)
        if (worker->held[i].plugin)
            check(worker->held[i].plugin, worker->held[i].file, i);
    return atomic_load(&counts.wrong) ? 3 : 0;
}

// One at a time.
static void make_child(struct worker *worker)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    int status = 0;
    if (!atomic_load(&forking) || pthread_mutex_trylock(&one) != 0)
        return;
    watchdog_push("waits for a child", 0);
    pid_t child = fork();
    if (child == 0) {
        watchdog_is_child();
        atomic_store(&counts.wrong, 0);
        _exit(run_child(worker));
    }
    waitpid(child, &status, 0);
    watchdog_pop();
    pthread_mutex_unlock(&one);
    count(&counts.forks, 1);
    if (status != 0)
        wrong(0, "a child has ended with status 0x%x", status);
}

// ------------------------------------------------------------- the whole ---

static const struct task {
    unsigned share; // of a thousand
    void (*run)(struct worker *worker);
} tasks[] = {
    { 480, use_any },
    { 150, hold },
    { 120, use_any_host },
    { 100, create },
    { 50, start_later },
    { 50, load },
    { 20, walk },
    { 24, use_own },
    { 6, make_child },
};

static void do_something(struct worker *worker)
{
    unsigned choice = random_below(worker, 1000);
    const struct task *task = tasks;
    while (choice >= task->share)
        choice -= task++->share;
    task->run(worker);
}

void *tasks_run(void *number)
{
    static atomic_ulong round;
    struct worker worker = { .number = (int)(long)number };
    worker.state = (seed * THREADS + (unsigned long)worker.number + 1)
                 * 0x9e3779b97f4a7c15 + atomic_fetch_add(&round, 1);
    watchdog_enter(worker.number);
    while (!atomic_load(&stopping))
        do_something(&worker);
    for (int i = 0; i < HELD; i++)
        drop(&worker, i);
    watchdog_leave();
    return NULL;
}

static void *warm(void *data)
{
    struct worker worker = { .state = seed + 1 };
    watchdog_enter(0);
    for (int file = 0; file < FILES; file++)
        for (int i = 0; i < RUNTIMES && files[file].path; i++)
            if (files[file].host)
                use_host(file, true);
            else
                use(&worker, runtimes[i], file);
    watchdog_leave();
    return data;
}

static void *settle(void *data)
{
    struct worker worker = { .state = seed + 1 };
    watchdog_enter(0);
    for (int i = 0; i < RUNTIMES; i++)
        use(&worker, runtimes[i], 1);
    watchdog_leave();
    return data;
}

// In a thread of its own, with which all goes that the loader keeps for it.
static void run_alone(void *(*run)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
}

void tasks_warm(void)
{
    run_alone(warm);
}

void tasks_settle(void)
{
    run_alone(settle);
}

// -------------------------------------------------- what plugins ask for ---

long stress_begun(int id)
{
    static atomic_long number;
    count(&files[id].begun, 1);
    return count(&number, 1) + 1;
}

void stress_ended(int id)
{
    count(&files[id].ended, 1);
}

void stress_made(int id, int more)
{
    count(&files[id].made, more);
}

void stress_expect(int id, int good, const char *what)
{
    if (!good)
        wrong(id, "%s", what);
}

void stress_started(int id, int good)
{
    if (!nested && !is_child)
        stress_expect(id, good, "it has not been started");
}

const char *stress_path(int id)
{
    return files[id].path;
}

void *stress_abroad(int id)
{
    nested++;
    e64_runtime *other = current == runtimes[0] ? runtimes[1] : runtimes[0];
    e64_plugin *plugin = open_it(other, id);
    if (plugin)
        check(plugin, id, 3);
    nested--;
    return plugin;
}

void *stress_any(int id)
{
    nested++;
    static atomic_long turn;
    e64_plugin *plugin = open_it(runtimes[count(&turn, 1) % RUNTIMES], id);
    if (plugin)
        check(plugin, id, 5);
    nested--;
    // What a constructor of the host leaves to its destructor is handed over
    // under glibc's lock, which the thread sanitizer does not see.
    atomic_store_explicit(&files[id].handed, 1, memory_order_release);
    return plugin;
}

void stress_close(int id, void *plugin)
{
    if (plugin && atomic_load_explicit(&files[id].handed,
                                       memory_order_acquire) >= 0)
        close_it(plugin, id);
}

void stress_host(int id)
{
    if (!atomic_load(&forking))
        use_host(id, false);
}
