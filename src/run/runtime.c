// Runtimes: made, freed, listed.

#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../host/internals.h"
#include "../memory.h"
#include "define.h"
#include "handle.h"
#include "hooks.h"
#include "lazy.h"
#include "work.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

// What the first programs were compiled with ends there.
#define LEAST_OPTIONS (offsetof(e64_runtime_options, unload)               \
                       + sizeof(e64_unload))

// Guards the list of runtimes. Taken before a runtime's lock.
static struct lock list_lock = LOCK_INITIALIZER;
static e64_runtime *first;
// Runtimes that were freed and are on it still.
static atomic_uint freed;

static __thread struct busy *own_busy
    __attribute__((tls_model("initial-exec")));

const char *e64_version(void)
{
    return NUMBER(E64_VERSION_MAJOR) "." NUMBER(E64_VERSION_MINOR) "."
           NUMBER(E64_VERSION_PATCH);
}

e64_runtime *runtime_first(void)
{
    return first;
}

bool runtime_remains(const e64_runtime *ended)
{
    lock_take(&list_lock);
    const e64_runtime *runtime = first;
    while (runtime && runtime != ended)
        runtime = runtime->next;
    lock_give(&list_lock);
    return runtime != NULL;
}

void busy_enter_locked(struct busy *busy, e64_runtime *runtime)
{
    runtime->busy++;
    *busy = (struct busy){ runtime, own_busy };
    own_busy = busy;
}

void busy_leave_locked(struct busy *busy)
{
    own_busy = busy->outer;
    busy->runtime->busy--;
}

void busy_enter(struct busy *busy, e64_runtime *runtime)
{
    lock_take(&runtime->lock);
    busy_enter_locked(busy, runtime);
    lock_give(&runtime->lock);
}

void busy_leave(struct busy *busy)
{
    e64_runtime *runtime = busy->runtime;
    lock_take(&runtime->lock);
    busy_leave_locked(busy);
    lock_give(&runtime->lock);
}

void runtimes_before_fork(void)
{
    lock_before_fork(&list_lock);
    for (e64_runtime *runtime = first; runtime; runtime = runtime->next)
        lock_before_fork(&runtime->lock);
}

// Of the child's threads only one is left, and what it does.
static void forget_others(e64_runtime *runtime)
{
    claims_forget_others(runtime);
    pinned_forget_others(runtime);
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        work_forget_others(runtime->plugins[i]);
    runtime->looking = runtime->looking
                    && pthread_equal(runtime->looker, pthread_self());
    runtime->users = runtime->looking;
    runtime->busy = 0;
    for (const struct busy *own = own_busy; own; own = own->outer)
        runtime->busy += own->runtime == runtime;
}

void runtimes_after_fork(bool child)
{
    for (e64_runtime *runtime = first; runtime; runtime = runtime->next) {
        if (child)
            forget_others(runtime);
        lock_after_fork(&runtime->lock, child);
    }
    lock_after_fork(&list_lock, child);
}

void runtime_log(e64_runtime *runtime, e64_log_level level,
                 const char *format, ...)
{
    char message[1024];
    if (!runtime->log)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    runtime->log(runtime->log_data, level, message);
}

static void add_to_list(e64_runtime *runtime)
{
    lock_take(&list_lock);
    e64_runtime **last = &first;
    while (*last)
        last = &(*last)->next;
    *last = runtime;
    lock_give(&list_lock);
}

static void remove_from_list(e64_runtime *runtime)
{
    lock_take(&list_lock);
    e64_runtime **at = &first;
    while (*at != runtime)
        at = &(*at)->next;
    *at = runtime->next;
    lock_give(&list_lock);
}

static void destroy(e64_runtime *runtime)
{
    unique_free(&runtime->uniques);
    registry_free(runtime);
    memory_free(runtime->globals);
    lazy_list_free(atomic_load(&runtime->lazy_globals));
    memory_free(runtime->path);
    policy_free(runtime->policy);
    plugin_drop(runtime->outside);
    define_free(runtime);
    lock_unmake(&runtime->lock);
    memory_free(runtime);
}

// What must not be unloaded keeps the record: it is stopped when the process
// ends.
void runtime_leave(e64_runtime *runtime)
{
    bool last = runtime->freed && !runtime->busy && !runtime->users
             && !runtime->plugin_count;
    lock_give(&runtime->lock);
    if (last) {
        remove_from_list(runtime);
        destroy(runtime);
        atomic_fetch_sub(&freed, 1);
    }
}

void runtime_each_freed(void (*look)(e64_runtime *runtime))
{
    e64_runtime *found[16];
    size_t count = 0;
    if (!atomic_load(&freed))
        return;
    lock_take(&list_lock);
    for (e64_runtime *runtime = first; runtime
         && count < sizeof found / sizeof *found; runtime = runtime->next) {
        lock_take(&runtime->lock);
        bool waits = runtime->freed && runtime->first_waiting;
        runtime->users += waits;
        lock_give(&runtime->lock);
        if (waits)
            found[count++] = runtime;
    }
    lock_give(&list_lock);
    for (size_t i = 0; i < count; i++) {
        lock_take(&found[i]->lock);
        look(found[i]);
        lock_take(&found[i]->lock);
        found[i]->users--;
        runtime_leave(found[i]);
    }
}

static e64_plugin *find_generation(const e64_runtime *runtime,
                                   uint64_t generation)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (runtime->plugins[i]->generation == generation
            && !runtime->plugins[i]->gone)
            return runtime->plugins[i];
    return NULL;
}

e64_plugin *runtimes_pin(uint64_t generation)
{
    e64_plugin *found = NULL;
    lock_take(&list_lock);
    for (e64_runtime *runtime = first; runtime && !found;
         runtime = runtime->next) {
        lock_take(&runtime->lock);
        found = find_generation(runtime, generation);
        if (found) {
            found->pins++;
            runtime->users++;
        }
        lock_give(&runtime->lock);
    }
    lock_give(&list_lock);
    return found;
}

void runtimes_unpin(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    close_unpinned(plugin);
    lock_take(&runtime->lock);
    runtime->users--;
    runtime_leave(runtime);
}

static e64_status make(const e64_runtime_options *options,
                       e64_runtime **runtime)
{
    if (!runtime)
        return fail(E64_INVALID, "e64_runtime_new: runtime must not be NULL");
    e64_runtime_options all = { .struct_size = sizeof all };
    if (options && options->struct_size < LEAST_OPTIONS)
        return fail(E64_INVALID, "e64_runtime_new: struct_size of the options "
                    "is %zu, less than %zu; set it to "
                    "sizeof(e64_runtime_options)", options->struct_size,
                    LEAST_OPTIONS);
    if (options)
        memcpy(&all, options, options->struct_size < sizeof all
                              ? options->struct_size : sizeof all);
    if (all.unload > E64_UNLOAD_LEAK)
        return fail(E64_INVALID, "e64_runtime_new: there is no way %u to "
                    "unload", (unsigned)all.unload);
    memory_settle();
    // Threads' keys, patched slots and debuggers' lists will point to us.
    host_pin_loader();
    host_find_load_lock();
    if (!forking_watch())
        return fail(E64_NOMEMORY, "handlers of fork cannot be set: out of "
                    "memory");
    e64_runtime *made = memory_new(sizeof *made);
    if (!made)
        return fail_memory(sizeof *made);
    e64_status status = policy_make(&all, &made->policy);
    if (status != E64_OK) {
        memory_free(made);
        return status;
    }
    made->hooks = all;
    made->search = all.search;
    made->search_data = all.search_data;
    made->log = all.log;
    made->log_data = all.log_data;
    made->unload = all.unload;
    made->lazy = all.lazy;
    made->path = all.path ? memory_copy(all.path) : NULL;
    if (all.path && !made->path) {
        policy_free(made->policy);
        memory_free(made);
        return fail_memory(strlen(all.path) + 1);
    }
    lock_make(&made->lock);
    add_to_list(made);
    *runtime = made;
    return E64_OK;
}

e64_status e64_runtime_new(const e64_runtime_options *options,
                           e64_runtime **runtime, e64_error *error)
{
    return error_give(make(options, runtime), error);
}

e64_status runtime_set_path(e64_runtime *runtime, const char *path)
{
    char *copy = path ? memory_copy(path) : NULL;
    if (path && !copy)
        return fail_memory(strlen(path) + 1);
    lock_take(&runtime->lock);
    char *before = runtime->path;
    runtime->path = copy;
    lock_give(&runtime->lock);
    memory_free(before);
    return E64_OK;
}

e64_status runtime_path(e64_runtime *runtime, char **path)
{
    lock_take(&runtime->lock);
    *path = runtime->path ? memory_copy(runtime->path) : NULL;
    size_t size = runtime->path && !*path ? strlen(runtime->path) + 1 : 0;
    lock_give(&runtime->lock);
    return size ? fail_memory(size) : E64_OK;
}

static e64_status free_runtime(e64_runtime *runtime)
{
    if (!runtime)
        return fail(E64_INVALID, "e64_runtime_free: runtime must not be NULL");
    e64_status status = hook_forbid(runtime, E64_INUSE, "frees");
    if (status != E64_OK)
        return status;
    lock_take(&runtime->lock);
    bool busy = runtime->busy;
    lock_give(&runtime->lock);
    if (busy)
        return fail(E64_INUSE, "e64_runtime_free: constructors or destructors "
                    "of the runtime's plugins are running; free it when they "
                    "have returned");
    status = close_all(runtime);
    if (status != E64_OK)
        return status;
    lock_take(&runtime->lock);
    // Another thread may be about to log something.
    while (runtime->looking
           && !pthread_equal(runtime->looker, pthread_self())) {
        lock_give(&runtime->lock);
        usleep(1000);
        lock_take(&runtime->lock);
    }
    runtime->search = NULL;
    runtime->log = NULL;
    runtime->hooks.event = NULL;
    runtime->freed = true;
    atomic_fetch_add(&freed, 1);
    runtime_leave(runtime);
    return E64_OK;
}

e64_status e64_runtime_free(e64_runtime *runtime, e64_error *error)
{
    return error_give(free_runtime(runtime), error);
}

static e64_status find_process(e64_runtime *runtime, e64_plugin **plugin)
{
    if (!runtime || !plugin)
        return fail(E64_INVALID, "e64_host: runtime and plugin must not be "
                    "NULL");
    e64_plugin *made;
    e64_status status = plugin_new(runtime, &made);
    if (status == E64_OK)
        status = plugin_add_name(made, "(host)");
    if (status == E64_OK && !(made->unit.file.name = memory_copy("(host)")))
        status = fail_memory(sizeof "(host)");
    if (status != E64_OK) {
        plugin_drop(made);
        return status;
    }
    made->process = true;
    made->unit.object.host = true;
    made->unit.object.name = made->unit.file.name;
    handle_fill(made);
    atomic_store(&made->state, E64_STATE_HOST);
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (runtime->plugins[i]->process && !runtime->plugins[i]->gone)
            *plugin = runtime->plugins[i];
    if (!*plugin)
        status = registry_reserve(runtime, 1);
    if (!*plugin && status == E64_OK) {
        registry_add(runtime, made);
        *plugin = made;
        made = NULL;
    }
    if (*plugin)
        (*plugin)->handles++;
    else
        registry_unreserve(runtime);
    lock_give(&runtime->lock);
    plugin_drop(made);
    return status;
}

e64_status e64_host(e64_runtime *runtime, e64_plugin **plugin,
                    e64_error *error)
{
    if (plugin)
        *plugin = NULL;
    return error_give(find_process(runtime, plugin), error);
}
