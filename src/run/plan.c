// Plans: made as an open is made, told of, committed.

#include "plan.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "../tls/pool.h"

e64_status plan_start(struct discovery *discovery)
{
    struct e64_plan *plan = discovery->plan;
    struct host_snapshot *copy;
    // What an earlier attempt found is void.
    plan_store_free(plan);
    e64_status status = host_snapshot_copy(discovery->snapshot, &copy);
    if (status != E64_OK)
        return status;
    host_snapshot_release(discovery->snapshot);
    discovery->snapshot = copy;
    return E64_OK;
}

struct starting {
    struct e64_plan *plan;
    e64_status status;
};

// In ld.so's order; what is started already takes no part.
static void add_start(void *data, e64_plugin *plugin)
{
    struct starting *starting = data;
    struct e64_plan *plan = starting->plan;
    struct plan_object *record;
    if (starting->status != E64_OK
        || atomic_load(&plugin->state) != E64_STATE_MAPPED)
        return;
    starting->status = plan_know(plan, &plugin->unit.object, &record);
    if (starting->status != E64_OK)
        return;
    for (size_t i = 0; i < plan->info.starts; i++)
        if (plan->starts[i] == &record->shown)
            return;
    plan->starts[plan->info.starts++] = &record->shown;
}

static e64_status find_starts(struct e64_plan *plan, const e64_plugin *root)
{
    struct starting starting = { plan, E64_OK };
    plan->starts = plan_memory(plan, (root->order_count + 1)
                                     * sizeof *plan->starts);
    if (!plan->starts)
        return E64_NOMEMORY;
    start_each(root, add_start, &starting);
    return starting.status;
}

// Adds up what the new objects take. Names of relocations are there once.
static e64_status add_up(struct e64_plan *plan)
{
    e64_plan_info *info = &plan->info;
    e64_count *sums = plan_memory(plan, (LINK_TYPES + 1) * sizeof *sums);
    struct pool_space space;
    if (!sums)
        return E64_NOMEMORY;
    for (uint32_t i = 0; i < plan->object_count; i++) {
        const e64_plan_object *object = &plan->objects[i]->shown;
        info->memory += object->memory;
        info->code += object->code;
        info->data += object->data;
        info->sealed += object->sealed;
        info->tls_fixed += object->tls_fixed ? object->tls_size : 0;
        info->tls_dynamic += object->tls_fixed ? 0 : object->tls_size;
        for (size_t n = 0; n < object->relocation_count; n++) {
            size_t at = 0;
            while (at < info->relocation_count
                   && sums[at].name != object->relocations[n].name)
                at++;
            sums[at].name = object->relocations[n].name;
            sums[at].count += object->relocations[n].count;
            info->relocation_count += at == info->relocation_count;
        }
    }
    info->relocations = sums;
    pool_measure(&space);
    info->tls_room = space.largest;
    return E64_OK;
}

e64_status plan_finish(struct discovery *discovery,
                       const struct elf_object *root, const e64_plugin *fresh,
                       const struct elf_object *const *scope, uint32_t count)
{
    struct e64_plan *plan = discovery->plan;
    struct plan_object *record;
    e64_status status = plan_know(plan, root, &record);
    if (status == E64_OK)
        status = plan_describe_all(discovery, scope, count);
    if (status == E64_OK && fresh)
        status = find_starts(plan, fresh);
    if (status == E64_OK)
        status = plan_gather(plan);
    if (status == E64_OK)
        status = add_up(plan);
    if (status != E64_OK)
        return status;
    plan->info.name = plan->name;
    plan->info.root = &record->shown;
    plan->info.objects = plan->object_count;
    plan->info.bindings = plan->binding_count;
    // What they were made from is about to go.
    for (uint32_t i = 0; i < plan->object_count; i++)
        plan->objects[i]->object = NULL;
    return E64_OK;
}

// ---------------------------------------------------------- the C API ---

static e64_status fill(struct e64_plan *plan, const char *name)
{
    plan->name = memory_copy(name);
    return plan->name ? open_plan(plan) : fail_memory(strlen(name) + 1);
}

static e64_status make(e64_runtime *runtime, const char *name,
                       const e64_open_options *options,
                       struct e64_plan **plan)
{
    if (!runtime || !plan)
        return fail(E64_INVALID, "e64_plan: runtime and plan must not be NULL");
    *plan = NULL;
    if (!name || !*name)
        return fail(E64_INVALID, "e64_plan: the name is empty");
    e64_status status = open_check("e64_plan", options);
    if (status != E64_OK)
        return status;
    struct e64_plan *made = memory_new(sizeof *made);
    status = made ? E64_OK : fail_memory(sizeof *made);
    if (made) {
        made->runtime = runtime;
        made->options = options ? *options : (e64_open_options){ 0 };
        status = fill(made, name);
    }
    if (status == E64_OK) {
        *plan = made;
    } else {
        error_about(name);
        e64_plan_free(made);
    }
    return status;
}

e64_status e64_plan(e64_runtime *runtime, const char *name,
                    const e64_open_options *options, struct e64_plan **plan,
                    e64_error *error)
{
    return error_give(make(runtime, name, options, plan), error);
}

void e64_plan_free(struct e64_plan *plan)
{
    if (!plan)
        return;
    plan_store_free(plan);
    memory_free(plan->name);
    memory_free(plan);
}

static e64_status commit(const struct e64_plan *plan, e64_plugin **plugin)
{
    if (!plan || !plugin)
        return fail(E64_INVALID, "e64_plan_commit: plan and plugin must not be "
                    "NULL");
    *plugin = NULL;
    e64_status status = plan_check_files(plan);
    return status == E64_OK ? open_planned(plan, plugin) : status;
}

e64_status e64_plan_commit(const struct e64_plan *plan, e64_plugin **plugin,
                           e64_error *error)
{
    return error_give(commit(plan, plugin), error);
}

void e64_plan_describe(const struct e64_plan *plan, e64_plan_info *info)
{
    if (info)
        *info = plan ? plan->info : (e64_plan_info){ .name = NULL };
}

int e64_plan_objects(const struct e64_plan *plan,
                     int (*visit)(void *data, const e64_plan_object *object),
                     void *data)
{
    int answer = 0;
    if (!plan || !visit)
        return 0;
    for (uint32_t i = 0; !answer && i < plan->object_count; i++)
        answer = visit(data, &plan->objects[i]->shown);
    return answer;
}

int e64_plan_bindings(const struct e64_plan *plan,
                      int (*visit)(void *data,
                                   const e64_plan_binding *binding),
                      void *data)
{
    int answer = 0;
    if (!plan || !visit)
        return 0;
    for (size_t i = 0; !answer && i < plan->binding_count; i++)
        answer = visit(data, &plan->bindings[i]);
    return answer;
}

int e64_plan_clashes(const struct e64_plan *plan,
                     int (*visit)(void *data, const e64_clash *clash),
                     void *data)
{
    int answer = 0;
    if (!plan || !visit)
        return 0;
    for (size_t i = 0; !answer && i < plan->info.clashes; i++)
        answer = visit(data, &plan->clashes[i]);
    return answer;
}

int e64_plan_missing(const struct e64_plan *plan,
                     int (*visit)(void *data, const e64_missing *missing),
                     void *data)
{
    int answer = 0;
    if (!plan || !visit)
        return 0;
    for (size_t i = 0; !answer && i < plan->info.missing; i++)
        answer = visit(data, &plan->missing[i]);
    return answer;
}

int e64_plan_starts(const struct e64_plan *plan,
                    int (*visit)(void *data, const e64_plan_object *object),
                    void *data)
{
    int answer = 0;
    if (!plan || !visit)
        return 0;
    for (size_t i = 0; !answer && i < plan->info.starts; i++)
        answer = visit(data, plan->starts[i]);
    return answer;
}
