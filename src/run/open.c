// Opens: discover, link, publish, start. Whatever fails undoes all.

#include "close.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "debugger.h"
#include "handle.h"
#include "hooks.h"
#include "provide.h"
#include "lazy.h"
#include "objects.h"
#include "perf.h"
#include "plan.h"
#include "unwind.h"
#include "work.h"

// Another try when the host changes its libraries under our hands.
enum { MOST_TRIES = 8 };

// The plugins of a root's scope, sorted as they are to be stopped.
static e64_status make_order(e64_plugin *root, bool fresh,
                             const struct elf_object *const *scope,
                             uint32_t scope_count, e64_plugin ***made,
                             uint32_t *made_count)
{
    e64_plugin **order = memory_array(scope_count, sizeof *order);
    if (!order)
        return fail_memory(scope_count * sizeof *order);
    uint32_t count = 0;
    // The root stands first even if filters come before it in its scope.
    order[count++] = root;
    for (uint32_t i = 0; i < scope_count; i++) {
        e64_plugin *plugin = plugin_of(scope[i]);
        if (plugin && plugin != root)
            order[count++] = plugin;
    }
    lock_take(&root->runtime->lock);
    e64_status status = order_start(order, count, fresh);
    lock_give(&root->runtime->lock);
    *made = order;
    *made_count = count;
    return status;
}

// Keeps the host's records that the plugins' lists point to.
static void keep_snapshot(struct discovery *discovery)
{
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        e64_plugin *plugin = discovery->fresh[i];
        if (!plugin->snapshot)
            plugin->snapshot = host_snapshot_retain(discovery->snapshot);
    }
}

// The scope of what is opened by name for the first time.
static e64_status make_scope(struct discovery *discovery, e64_plugin *root)
{
    e64_runtime *runtime = root->runtime;
    lock_take(&runtime->lock);
    discovery->known = root->scope != NULL;
    lock_give(&runtime->lock);
    if (discovery->known)
        return E64_OK;
    const struct elf_object *object = root->host ? &root->host->object
                                                 : &root->unit.object;
    const struct elf_object **scope = NULL;
    e64_plugin **order = NULL;
    uint32_t scope_count = 0, order_count = 0;
    bool fresh = root->needs == NULL;
    e64_status status = scope_list(discovery, object, &scope, &scope_count);
    keep_snapshot(discovery);
    if (status == E64_OK && !root->host)
        status = make_order(root, fresh, scope, scope_count, &order,
                            &order_count);
    lock_take(&runtime->lock);
    // One that came along with another may be opened by two threads at once.
    if (status == E64_OK && !root->scope) {
        root->scope_count = scope_count;
        root->order = order;
        root->order_count = order_count;
        root->scope_snapshot = host_snapshot_retain(discovery->snapshot);
        // Who looks up takes no lock: the list is there when all of it is.
        __atomic_store_n(&root->scope, scope, __ATOMIC_RELEASE);
        scope = NULL;
        order = NULL;
    }
    lock_give(&runtime->lock);
    memory_free(scope);
    memory_free(order);
    return status;
}

// A plugin that stands for a module of the host.
static e64_status make_host_plugin(struct discovery *discovery,
                                   struct host_module *module,
                                   const char *name, e64_plugin **root)
{
    e64_plugin *plugin;
    e64_status status = plugin_new(discovery->runtime, &plugin);
    if (status != E64_OK)
        return status;
    status = discover_add(discovery, plugin);
    if (status != E64_OK) {
        plugin_drop(plugin);
        return status;
    }
    atomic_store(&plugin->state, E64_STATE_HOST);
    plugin->unit.object = module->object;
    plugin->unit.file.name = memory_copy(module->path);
    if (!plugin->unit.file.name)
        return fail_memory(strlen(module->path) + 1);
    status = plugin_add_name(plugin, name);
    if (status == E64_OK)
        status = host_keep(module);
    if (status == E64_OK)
        plugin->host = module;
    *root = plugin;
    return status;
}

static e64_status find_root(struct discovery *discovery, const char *name,
                            const struct elf_object *object, e64_plugin **root)
{
    e64_runtime *runtime = discovery->runtime;
    *root = plugin_of(object);
    if (*root)
        return E64_OK;
    lock_take(&runtime->lock);
    *root = registry_find_host(runtime, host_module_of(object));
    if (*root)
        pinned_add(discovery, *root);
    lock_give(&runtime->lock);
    if (*root)
        return E64_OK;
    return make_host_plugin(discovery, host_module_of(object), name, root);
}

// From here on the plugin is needed by this one.
static void add_dependents(const e64_plugin *plugin)
{
    for (uint32_t i = 0; i < plugin->need_count; i++)
        if (!plugin->needs[i]->host)
            plugin_of(plugin->needs[i])->dependents++;
    for (uint32_t i = 0; i < plugin->filter_count; i++)
        if (plugin->filters[i] && !plugin->filters[i]->host)
            plugin_of(plugin->filters[i])->dependents++;
    for (uint32_t i = 0; i < plugin->bound_count; i++)
        plugin->bound[i]->dependents++;
}

// Has another thread opened one of them meanwhile?
static bool is_overtaken(const struct discovery *discovery)
{
    e64_runtime *runtime = discovery->runtime;
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        const e64_plugin *plugin = discovery->fresh[i];
        const struct elf_file *file = &plugin->unit.file;
        if (plugin->host ? registry_find_host(runtime, plugin->host) != NULL
            : file->identified && !plugin->isolated
              && registry_find_file(runtime, file))
            return true;
        if (plugin->provided && provide_registered(runtime, plugin->provided))
            return true;
    }
    return false;
}

// Makes known what was bound. Can fail only before anything is changed.
static e64_status publish(struct discovery *discovery, e64_plugin *root,
                          const e64_open_options *options)
{
    e64_runtime *runtime = discovery->runtime;
    lock_take(&runtime->lock);
    e64_status status = registry_reserve(runtime, discovery->fresh_count);
    discovery->overtaken = is_overtaken(discovery);
    if (status == E64_OK && discovery->overtaken)
        status = fail(E64_CHANGED, "%s: another thread was sooner",
                      root->unit.object.name);
    if (status == E64_OK && options->global)
        status = registry_add_globals(runtime, root);
    if (status == E64_OK) {
        for (uint32_t i = 0; i < discovery->fresh_count; i++) {
            registry_add(runtime, discovery->fresh[i]);
            add_dependents(discovery->fresh[i]);
            bind_publish(discovery->fresh[i], discovery->defined);
            claims_remove(discovery->fresh[i]);
        }
        lazy_add_root(root);
        discovery->fresh_count = 0;
        if (discovery->promise) {
            discovery->promise->within = discovery->known
                                      && work_is_promised_here(root);
            work_promise(root->order, root->order_count, discovery->promise);
        }
        pinned_publish_names(discovery);
        unique_settle(discovery, true);
        root->handles++;
        if (options->nodelete)
            root->nodelete = true;
    } else {
        registry_unreserve(runtime);
    }
    lock_give(&runtime->lock);
    return status;
}

// What is to be opened: a name, or a source, or objects.
struct request {
    const char *name;
    const e64_source *source;
    struct object_source *const *objects; // or this many of these
    uint32_t object_count;
    e64_open_options options;
    e64_plugin *caller; // that calls dlopen, or NULL
    struct e64_plan *plan;            // to be made, instead of an open
    const struct e64_plan *committed; // to be kept to
};

static e64_status find(struct discovery *discovery,
                       const struct request *request,
                       const struct elf_object **object)
{
    const e64_open_options *options = &request->options;
    *object = NULL;
    if (request->objects)
        return discover_objects(discovery, request->name, request->objects,
                                request->object_count, options->private_,
                                object);
    if (request->source)
        return discover_source(discovery, request->source,
                               options->private_, object);
    if (options->noload) {
        e64_status status = discover_loaded(discovery, request->name, object);
        if (*object || (status != E64_OK && status != E64_NOTFOUND))
            return status;
        if (status == E64_OK && request->caller)
            return E64_OK;
        fail(E64_NOTFOUND, "%s: is not open, and `noload` forbids to open it",
             request->name);
        error_path(request->name);
        return E64_NOTFOUND;
    }
    return discover_name(discovery, request->name, NULL, options->private_,
                         object);
}

// From here on debuggers know them. IFUNC resolvers can be looked into, too.
static e64_status announce(struct discovery *discovery)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < discovery->fresh_count; i++) {
        handle_fill(discovery->fresh[i]);
        status = jit_make(discovery->fresh[i]);
        if (status == E64_OK && discovery->options->perf)
            status = perf_tell(discovery->fresh[i]);
    }
    if (status == E64_OK)
        debugger_add(discovery->fresh, discovery->fresh_count);
    return status;
}

static void log_mapped(const struct discovery *discovery)
{
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        const e64_plugin *plugin = discovery->fresh[i];
        const struct elf_object *object = &plugin->unit.object;
        runtime_log(discovery->runtime, E64_LOG_INFO,
                    "%s: mapped at 0x%llx%s%s",
                    object->name, (unsigned long long)object->start,
                    plugin->loader ? ", needed by " : "",
                    plugin->loader ? plugin->loader->unit.object.name : "");
    }
}

// The scope of the root of a plan, which nobody else gets to see.
static e64_status plan_root(struct discovery *discovery,
                            const struct request *request,
                            const struct elf_object *object)
{
    e64_plugin *root = plugin_of(object);
    const struct elf_object **scope = NULL;
    uint32_t count = 0;
    bool fresh = root && !plan_is_open(root);
    e64_status status = fresh ? make_scope(discovery, root)
                              : scope_list(discovery, object, &scope, &count);
    if (status == E64_OK && discovery->failed)
        status = fail_memory(sizeof *discovery->pinned);
    if (status == E64_OK && fresh)
        status = bind_plan(discovery, root, request->options.deepbind);
    if (status == E64_OK && fresh)
        status = hook_order(root);
    if (status == E64_OK)
        status = plan_finish(discovery, object, fresh ? root : NULL,
                             fresh ? root->scope : scope,
                             fresh ? root->scope_count : count);
    memory_free(scope);
    return status;
}

static e64_status link_root(struct discovery *discovery,
                            const struct request *request, e64_plugin **root)
{
    const struct elf_object *object;
    uint64_t start = run_now();
    e64_status status = host_hold(&discovery->snapshot, &discovery->hold);
    if (status == E64_OK)
        status = discovery->plan ? plan_start(discovery)
                                 : unwind_follow(discovery->snapshot);
    if (status == E64_OK)
        status = discovery_globals(discovery);
    if (status == E64_OK)
        status = find(discovery, request, &object);
    if (status == E64_OK && !object)
        return E64_OK; // not open, which is an answer
    if (status == E64_OK && discovery->plan)
        return plan_root(discovery, request, object);
    if (status == E64_OK && !discovery->failed)
        status = find_root(discovery, request->name, object, root);
    if (status == E64_OK && !discovery->failed)
        status = make_scope(discovery, *root);
    if (status == E64_OK && discovery->failed)
        status = fail_memory(sizeof *discovery->pinned);
    if (status == E64_OK && discovery->committed)
        status = plan_check_objects(discovery, object, (*root)->scope,
                                    (*root)->scope_count);
    if (status != E64_OK)
        return status;
    if (discovery->fresh_count && !(*root)->host) {
        (*root)->times.discover += run_now() - start;
        // No binding to what stays is kept account of.
        if (!(*root)->turn && request->options.nodelete)
            (*root)->nodelete = true;
        status = bind_group(discovery, *root, request->options.deepbind);
        if (status == E64_OK)
            status = hook_order(*root);
        if (status == E64_OK && discovery->committed)
            status = plan_check_starts(discovery, *root);
        if (status == E64_OK)
            status = announce(discovery);
        if (status == E64_OK && !request->options.hold)
            status = finish_plugin(*root);
        if (status == E64_OK)
            log_mapped(discovery);
    } else if (*root && (*root)->host) {
        handle_fill(*root);
    }
    if (status == E64_OK)
        status = publish(discovery, *root, &request->options);
    addresses_settle();
    return status;
}

// What an attempt that has to be repeated says, and how to.
struct retry {
    e64_plugin *awaited;
    bool overtaken, alone, last, unlike;
};

static e64_status open_once(e64_runtime *runtime,
                            const struct request *request, e64_plugin **root,
                            struct promise *promise, struct retry *retry)
{
    struct discovery discovery = { .runtime = runtime,
                                   .caller = request->caller,
                                   .options = &request->options,
                                   .hold_back = request->options.hold,
                                   .promise = request->options.hold
                                            ? NULL : promise,
                                   .last = retry->last,
                                   .alone = retry->alone,
                                   .plan = request->plan,
                                   .committed = request->committed };
    *root = NULL;
    pinned_begin(&discovery);
    e64_status status = E64_OK;
    // What was planned is bound, and not what would be found later.
    if (!request->plan && !request->committed)
        status = lazy_wanted(runtime, &request->options, &discovery.lazy);
    if (status == E64_OK)
        status = link_root(&discovery, request, root);
    if (status == E64_OK)
        discovery_free(&discovery);
    else
        discovery_fail(&discovery);
    retry->awaited = discovery.awaited;
    retry->overtaken = discovery.overtaken;
    retry->unlike = discovery.unlike;
    return status;
}

// Is another attempt to be made? One that waits, or that another thread has
// overtaken, does not count: something has been done meanwhile.
static bool try_again(struct retry *retry, int *tries)
{
    bool counts = !retry->overtaken;
    if (retry->awaited) {
        // Nothing of this attempt is left that others could wait for.
        counts = !work_wait(retry->awaited);
        retry->alone = counts;
        plugin_drop(retry->awaited);
    }
    *tries += counts;
    retry->last = *tries == MOST_TRIES - 1;
    return *tries < MOST_TRIES;
}

// Discovers, links and publishes.
static e64_status open_linked(e64_runtime *runtime,
                              const struct request *request,
                              e64_plugin **root, struct promise *promise)
{
    struct retry retry = { .alone = false };
    int tries = 0;
    e64_status status;
    do
        status = open_once(runtime, request, root, promise, &retry);
    while (status == E64_CHANGED && !retry.unlike
           && try_again(&retry, &tries));
    return status;
}

static __attribute__((noinline)) void close_failed(e64_plugin *root)
{
    e64_error error;
    error_save(&error);
    close_plugin(root);
    error_restore(&error);
}

static e64_status open_request(e64_runtime *runtime,
                               const struct request *request,
                               e64_plugin **plugin)
{
    e64_plugin *root = NULL;
    struct promise promise;
    e64_status status = hook_forbid(runtime, E64_HOOK, "opens a plugin in");
    if (status != E64_OK)
        return status;
    if (request->source || request->objects || request->committed) {
        waiting_look_before(runtime);
    } else if ((*plugin = open_again(runtime, request->name, &request->options,
                                 request->caller))) {
        return E64_OK;
    }
    uint64_t begin = run_now();
    status = open_linked(runtime, request, &root, &promise);
    if (status == E64_OK && root && !request->options.hold) {
        // A constructor that opens what it is opened with gets that as it
        // stands.
        status = promise.within ? E64_OK : start_plugin(root);
        work_keep(root->order, root->order_count, &promise);
        if (status != E64_OK)
            close_failed(root);
    }
    if (status == E64_OK) {
        *plugin = root;
        return E64_OK;
    }
    error_about(request->name);
    runtime_log(runtime, E64_LOG_WARNING, "%s: not opened: %s",
                request->name, error_pending()->message);
    hook_tell(runtime, E64_EVENT_FAILED, NULL, request->name,
              hook_since(begin));
    return status;
}

e64_status open_check(const char *function, const e64_open_options *options)
{
    if (options && options->struct_size < sizeof *options)
        return fail(E64_INVALID, "%s: struct_size of the options is %zu, less "
                    "than %zu; set it to sizeof(e64_open_options)", function,
                    options->struct_size, sizeof *options);
    if (options && options->noload && options->private_)
        return fail(E64_INVALID, "%s: `noload` asks for what is open already, "
                    "and `private` for a new copy: leave one of them out",
                    function);
    return E64_OK;
}

static e64_status check(const char *function, const e64_runtime *runtime,
                        const e64_open_options *options, e64_plugin **plugin,
                        struct request *request)
{
    if (!runtime || !plugin)
        return fail(E64_INVALID, "%s: runtime and plugin must not be NULL",
                    function);
    *plugin = NULL;
    e64_status status = open_check(function, options);
    if (status == E64_OK && options)
        request->options = *options;
    return status;
}

e64_status e64_open(e64_runtime *runtime, const char *name,
                    const e64_open_options *options, e64_plugin **plugin,
                    e64_error *error)
{
    struct request request = { .name = name };
    e64_status status = check("e64_open", runtime, options, plugin,
                              &request);
    if (status == E64_OK && (!name || !*name))
        status = fail(E64_INVALID, "e64_open: the name is empty; e64_host "
                      "gives the process");
    if (status == E64_OK)
        status = open_request(runtime, &request, plugin);
    return error_give(status, error);
}

e64_status open_plan(struct e64_plan *plan)
{
    const struct request request = { .name = plan->name, .plan = plan,
                                     .options = plan->options };
    e64_plugin *none;
    struct promise promise;
    e64_status status = hook_forbid(plan->runtime, E64_HOOK,
                                    "plans an open in");
    if (status == E64_OK)
        status = open_linked(plan->runtime, &request, &none, &promise);
    return status;
}

e64_status open_planned(const struct e64_plan *plan, e64_plugin **plugin)
{
    const struct request request = { .name = plan->name, .committed = plan,
                                     .options = plan->options };
    return open_request(plan->runtime, &request, plugin);
}

e64_status open_for(e64_plugin *caller, const char *name,
                    const e64_open_options *options, e64_plugin **plugin)
{
    const struct request request = { .name = name, .options = *options,
                                     .caller = caller };
    return open_request(caller->runtime, &request, plugin);
}

e64_status open_objects(e64_runtime *runtime, const char *name,
                        struct object_source *const *objects, uint32_t count,
                        const e64_open_options *options, e64_plugin **plugin)
{
    const struct request request = { .name = name, .objects = objects,
                                     .object_count = count,
                                     .options = *options };
    return open_request(runtime, &request, plugin);
}

e64_status e64_load(e64_runtime *runtime, const e64_source *source,
                    const e64_open_options *options, e64_plugin **plugin,
                    e64_error *error)
{
    struct request request = { .source = source };
    e64_status status = check("e64_load", runtime, options, plugin,
                              &request);
    if (status == E64_OK && !source)
        status = fail(E64_INVALID, "e64_load: source must not be NULL");
    if (status == E64_OK) {
        request.name = source->name ? source->name
                     : source->path ? source->path : "(source)";
        status = open_request(runtime, &request, plugin);
    }
    return error_give(status, error);
}
