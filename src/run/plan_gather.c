// What is told of all bindings of a plan together: names with two definitions,
// and all that is missing.

#include "plan.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

// Bindings that are told of as one, by what they have in common. Texts and
// objects of a plan are there once, so that their addresses will do.
struct group {
    const e64_plan_binding *first;
    size_t wanters;
    const e64_plan_object *last;       // that was counted
    const e64_plan_object **list;      // `wanters` of them
    uint32_t next;                     // in its slot: place plus one; or 0
};

struct grouping {
    bool (*wanted)(const e64_plan_binding *binding);
    struct group *groups;
    uint32_t count, room;
    uint32_t *slots;
};

static bool is_clash(const e64_plan_binding *binding)
{
    return binding->runner_up != NULL;
}

static bool is_missing(const e64_plan_binding *binding)
{
    return !binding->provider && !binding->weak;
}

static uint64_t hash(const e64_plan_binding *binding)
{
    const void *const parts[] = { binding->symbol, binding->version,
                                  binding->provider, binding->runner_up };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sum = (sum ^ (uintptr_t)parts[i] >> 4) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 32;
}

static bool is_alike(const e64_plan_binding *a, const e64_plan_binding *b)
{
    return a->symbol == b->symbol && a->version == b->version
        && a->provider == b->provider && a->runner_up == b->runner_up
        && a->denied == b->denied;
}

static struct group *find(struct grouping *grouping,
                          const e64_plan_binding *binding)
{
    uint32_t *slot = &grouping->slots[hash(binding) & (grouping->room - 1)];
    for (uint32_t at = *slot; at; at = grouping->groups[at - 1].next)
        if (is_alike(grouping->groups[at - 1].first, binding))
            return &grouping->groups[at - 1];
    struct group *made = &grouping->groups[grouping->count++];
    *made = (struct group){ .first = binding, .next = *slot };
    *slot = grouping->count;
    return made;
}

// Counts each group's wanters, then lists them. Bindings of one wanter follow
// one another.
static e64_status group(struct e64_plan *plan, struct grouping *grouping)
{
    size_t wanted = 0;
    for (size_t i = 0; i < plan->binding_count; i++)
        wanted += grouping->wanted(&plan->bindings[i]);
    for (grouping->room = 16; grouping->room < wanted; )
        grouping->room *= 2;
    grouping->groups = memory_array(grouping->room, sizeof *grouping->groups);
    grouping->slots = memory_array(grouping->room, sizeof *grouping->slots);
    if (!grouping->groups || !grouping->slots)
        return fail_memory(grouping->room * sizeof *grouping->groups);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < plan->binding_count; i++) {
            const e64_plan_binding *binding = &plan->bindings[i];
            struct group *one = grouping->wanted(binding)
                              ? find(grouping, binding) : NULL;
            if (!one || one->last == binding->wanter)
                continue;
            one->last = binding->wanter;
            if (one->list)
                one->list[one->wanters] = binding->wanter;
            one->wanters++;
        }
        for (uint32_t i = 0; pass == 0 && i < grouping->count; i++) {
            struct group *one = &grouping->groups[i];
            one->list = plan_memory(plan, one->wanters * sizeof *one->list);
            if (!one->list)
                return E64_NOMEMORY;
            one->wanters = 0;
            one->last = NULL;
        }
    }
    return E64_OK;
}

static void grouping_free(struct grouping *grouping)
{
    memory_free(grouping->groups);
    memory_free(grouping->slots);
}

static e64_status gather_clashes(struct e64_plan *plan)
{
    struct grouping grouping = { .wanted = is_clash };
    e64_status status = group(plan, &grouping);
    if (status == E64_OK && grouping.count) {
        plan->clashes = plan_memory(plan, grouping.count
                                          * sizeof *plan->clashes);
        status = plan->clashes ? E64_OK : E64_NOMEMORY;
    }
    for (uint32_t i = 0; status == E64_OK && i < grouping.count; i++) {
        const struct group *one = &grouping.groups[i];
        plan->clashes[i] = (e64_clash){
            .symbol = one->first->symbol,
            .version = one->first->version,
            .provider = one->first->provider,
            .runner_up = one->first->runner_up,
            .vague = one->first->vague,
            .wanters = one->list,
            .wanter_count = one->wanters,
        };
    }
    plan->info.clashes = status == E64_OK ? grouping.count : 0;
    grouping_free(&grouping);
    return status;
}

// ------------------------------------------------------------- missing ---

// One entry more; the list is copied as it grows, in the plan's memory.
static e64_missing *add(struct e64_plan *plan)
{
    if (plan->info.missing == plan->missing_room) {
        size_t room = plan->missing_room ? 2 * plan->missing_room : 8;
        e64_missing *missing = plan_memory(plan, room * sizeof *missing);
        if (!missing)
            return NULL;
        if (plan->info.missing)
            memcpy(missing, plan->missing,
                   plan->info.missing * sizeof *missing);
        plan->missing = missing;
        plan->missing_room = room;
    }
    return &plan->missing[plan->info.missing++];
}

// Each has one wanter at first; what is alike is told of once.
static e64_status add_wanter(struct e64_plan *plan, e64_missing *missing,
                             const e64_plan_object *wanter)
{
    size_t count = missing->wanter_count + 1;
    const e64_plan_object **wanters = plan_memory(plan,
                                                  count * sizeof *wanters);
    if (!wanters)
        return E64_NOMEMORY;
    for (size_t i = 0; i < missing->wanter_count; i++)
        wanters[i] = missing->wanters[i];
    wanters[count - 1] = wanter;
    missing->wanters = wanters;
    missing->wanter_count = count;
    return E64_OK;
}

static e64_status add_alike(struct e64_plan *plan, const e64_missing *what,
                            const e64_plan_object *wanter)
{
    for (size_t i = 0; i < plan->info.missing; i++) {
        e64_missing *known = &plan->missing[i];
        if (known->status == what->status && known->library == what->library
            && known->version == what->version && !known->symbol)
            return add_wanter(plan, known, wanter);
    }
    e64_missing *made = add(plan);
    if (!made)
        return E64_NOMEMORY;
    *made = *what;
    return add_wanter(plan, made, wanter);
}

bool plan_absent_file(void *data, const struct link_unit *unit,
                      const char *file)
{
    const struct discovery *discovery = data;
    return plan_lacks(discovery->plan, plugin_of(&unit->object), file) != NULL;
}

void plan_old(struct e64_plan *plan, const struct link_unit *unit,
              uint32_t version, const struct elf_object *object)
{
    const struct elf_symbols *symbols = unit->object.symbols;
    struct plan_object *by, *library;
    e64_missing missing = { .status = E64_VERSION };
    e64_status status = plan_know(plan, &unit->object, &by);
    if (status == E64_OK)
        status = plan_know(plan, object, &library);
    if (status == E64_OK)
        status = plan_text(plan, elf_string(symbols,
                                            symbols->versions[version].name),
                           &missing.version);
    if (status == E64_OK) {
        missing.library = library->shown.path;
        status = add_alike(plan, &missing, &by->shown);
    }
    plan->failed |= status != E64_OK;
}

e64_status plan_fails(struct e64_plan *plan, e64_status status)
{
    if (status != E64_UNDEFINED && status != E64_VERSION
        && status != E64_DENIED)
        return status;
    if (plan->info.message)
        return E64_OK; // it is what the open would come upon first
    plan->info.status = status;
    return plan_text(plan, error_pending()->message, &plan->info.message);
}

static e64_status gather_libraries(struct e64_plan *plan)
{
    e64_status status = E64_OK;
    bool first = true;
    for (uint32_t i = 0; status == E64_OK && i < plan->object_count; i++) {
        const e64_plan_object *object = &plan->objects[i]->shown;
        if (object->state != E64_PLAN_ABSENT)
            continue;
        // An open fails for the first one, before it binds anything.
        if (first) {
            plan->info.status = object->status;
            plan->info.message = object->message;
            first = false;
        }
        status = add_alike(plan, &(e64_missing){
            .status = object->status, .library = object->name,
            .message = object->message }, object->wanter);
    }
    return status;
}

static e64_status gather_symbols(struct e64_plan *plan)
{
    struct grouping grouping = { .wanted = is_missing };
    e64_status status = group(plan, &grouping);
    for (uint32_t i = 0; status == E64_OK && i < grouping.count; i++) {
        const struct group *one = &grouping.groups[i];
        e64_missing *made = add(plan);
        if (made)
            *made = (e64_missing){
                .status = one->first->denied ? E64_DENIED : E64_UNDEFINED,
                .symbol = one->first->symbol,
                .version = one->first->version,
                .wanters = one->list,
                .wanter_count = one->wanters,
            };
        else
            status = E64_NOMEMORY;
    }
    grouping_free(&grouping);
    return status;
}

e64_status plan_gather(struct e64_plan *plan)
{
    e64_status status = gather_clashes(plan);
    if (status == E64_OK)
        status = gather_libraries(plan);
    if (status == E64_OK)
        status = gather_symbols(plan);
    return status;
}
