// Runs constructors and destructors (gABI "Initialization and Termination
// Functions"), in ld.so's order, with nothing locked.

#include "hooks.h"

#include "../error.h"
#include "../memory.h"
#include "work.h"

typedef void (*initializer)(int argc, char **argv, char **envp);
typedef void (*finalizer)(void);

// DT_INIT, then DT_INIT_ARRAY from first to last. The array has been relocated:
// it holds addresses.
static void run_initializers(const struct link_unit *unit)
{
    const struct process process = process_start();
    const uintptr_t bias = unit->object.bias;
    const struct elf_image *image = &unit->image;
    if (image->init)
        ((initializer)(bias + image->init))(process.argc, process.argv,
                                            process.envp);
    const initializer *array = (const initializer *)(bias
                                                     + image->init_array.vaddr);
    for (uint64_t i = 0; i < image->init_array.size / sizeof *array; i++)
        array[i](process.argc, process.argv, process.envp);
}

// DT_FINI_ARRAY from last to first, then DT_FINI.
static void run_finalizers(const struct link_unit *unit)
{
    const uintptr_t bias = unit->object.bias;
    const struct elf_image *image = &unit->image;
    const finalizer *array = (const finalizer *)(bias
                                                 + image->fini_array.vaddr);
    for (uint64_t i = image->fini_array.size / sizeof *array; i-- > 0; )
        array[i]();
    if (image->fini)
        ((finalizer)(bias + image->fini))();
}

// Waits for a thread that is starting it. One that must not be waited for is
// left as it stands.
static void start_one(void *data, e64_plugin *plugin)
{
    (void)data;
    if (atomic_load(&plugin->state) == E64_STATE_STARTED || !work_take(plugin))
        return;
    uint64_t begin = run_now();
    bool mapped = atomic_load(&plugin->state) == E64_STATE_MAPPED;
    if (mapped) {
        atomic_store(&plugin->state, E64_STATE_STARTING);
        run_initializers(&plugin->unit);
        atomic_store(&plugin->state, E64_STATE_STARTED);
    }
    uint64_t took = hook_since(begin);
    work_give(plugin);
    if (mapped)
        hook_tell(plugin->runtime, E64_EVENT_STARTED, plugin,
                  plugin->unit.object.name, took);
}

// A DF_1_INITFIRST plugin is started before all others, the last one that was
// mapped if there are several.
e64_plugin *start_first(const e64_plugin *root)
{
    for (uint32_t i = root->scope_count; i-- > 0; ) {
        e64_plugin *plugin = plugin_of(root->scope[i]);
        if (plugin && plugin->unit.image.flags_1 & DF_1_INITFIRST
            && atomic_load(&plugin->state) == E64_STATE_MAPPED)
            return plugin;
    }
    return NULL;
}

void start_each(const e64_plugin *root,
                void (*start)(void *data, e64_plugin *plugin), void *data)
{
    e64_plugin *first = root->starts ? NULL : start_first(root);
    if (first)
        start(data, first);
    for (uint32_t i = 0; i < root->start_count; i++)
        start(data, root->starts[i]);
    for (uint32_t i = root->order_count; i-- > 0; )
        start(data, root->order[i]);
}

static void add_time(e64_plugin *root, uint64_t *sum, uint64_t begin)
{
    lock_take(&root->runtime->lock);
    *sum += run_now() - begin;
    lock_give(&root->runtime->lock);
}

e64_status finish_plugin(e64_plugin *root)
{
    uint64_t begin = run_now();
    e64_status status = bind_finish(root->order, root->order_count);
    add_time(root, &root->times.ifunc, begin);
    return status;
}

e64_status start_plugin(e64_plugin *root)
{
    if (root->host || root->process
        || atomic_load(&root->state) == E64_STATE_STARTED)
        return E64_OK;
    e64_status status = finish_plugin(root);
    if (status != E64_OK)
        return status;
    uint64_t begin = run_now();
    struct busy busy;
    busy_enter(&busy, root->runtime);
    start_each(root, start_one, NULL);
    busy_leave(&busy);
    add_time(root, &root->times.start, begin);
    return E64_OK;
}

// Has it come along with others alone? Then nothing says what comes before it.
static bool is_beneath(e64_plugin *plugin)
{
    lock_take(&plugin->runtime->lock);
    bool beneath = !plugin->scope
                && atomic_load(&plugin->state) == E64_STATE_MAPPED;
    lock_give(&plugin->runtime->lock);
    return beneath;
}

e64_status e64_start(e64_plugin *plugin, e64_error *error)
{
    e64_status status;
    uint64_t begin = run_now();
    if (!plugin)
        status = fail(E64_INVALID, "e64_start: plugin must not be NULL");
    else if (atomic_load(&plugin->state) == E64_STATE_STOPPED)
        status = fail(E64_CLOSED, "%s: has been closed",
                      plugin->unit.object.name);
    else
        status = hook_forbid(plugin->runtime, E64_HOOK, "starts a plugin in");
    if (status == E64_OK && is_beneath(plugin))
        status = fail(E64_START, "%s: was opened as a part of something else, "
                      "which is to be started, or open this one by its name",
                      plugin->unit.object.name);
    if (status != E64_OK)
        return error_give(status, error);
    status = start_plugin(plugin);
    if (status != E64_OK) {
        error_about(plugin->unit.object.name);
        hook_tell(plugin->runtime, E64_EVENT_FAILED, plugin,
                  plugin->unit.object.name, hook_since(begin));
    }
    return error_give(status, error);
}

static void stop_one(e64_plugin *plugin)
{
    e64_state started = E64_STATE_STARTED;
    // One that is still starting, further up on this stack, is stopped too.
    e64_state starting = E64_STATE_STARTING;
    if (!atomic_compare_exchange_strong(&plugin->state, &started,
                                        E64_STATE_STOPPING)
        && !atomic_compare_exchange_strong(&plugin->state, &starting,
                                           E64_STATE_STOPPING))
        return;
    struct busy busy;
    busy_enter(&busy, plugin->runtime);
    uint64_t begin = run_now();
    run_finalizers(&plugin->unit);
    hook_tell(plugin->runtime, E64_EVENT_STOPPED, plugin,
              plugin->unit.object.name, hook_since(begin));
    busy_leave(&busy);
}

void stop_plugin(e64_plugin *plugin)
{
    stop_one(plugin);
    lock_take(&plugin->runtime->lock);
    claims_remove(plugin);
    lock_give(&plugin->runtime->lock);
}
