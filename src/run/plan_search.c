// What a plan notes of searches: what was tried, what was taken and why. And
// what glibc would open, found and read for it.

#include "plan.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "text.h"

void plan_begin(struct e64_plan *plan, struct plan_step *step,
                const char *name, e64_plugin *wanter)
{
    *step = (struct plan_step){ .outer = plan->step, .name = name,
                                .wanter = wanter };
    plan->step = step;
}

void plan_asked(struct e64_plan *plan)
{
    if (plan->step)
        plan->step->asked = true;
}

void plan_provided(struct e64_plan *plan)
{
    if (plan->step)
        plan->step->provided = true;
}

static bool make_room(struct e64_plan *plan, struct plan_step *step)
{
    if (step->count < step->room)
        return true;
    size_t room = step->room ? 2 * step->room : 8;
    e64_probe *probes = plan_memory(plan, room * sizeof *probes);
    if (!probes)
        return false;
    if (step->count)
        memcpy(probes, step->probes, step->count * sizeof *probes);
    step->probes = probes;
    step->room = room;
    return true;
}

void plan_probe(void *data, const struct search_probe *probe)
{
    struct e64_plan *plan = data;
    struct plan_step *step = plan->step;
    if (!step || step->failed)
        return;
    e64_probe *made = make_room(plan, step) ? &step->probes[step->count]
                                            : NULL;
    step->failed = !made
        || plan_text(plan, probe->path, &made->path) != E64_OK
        || plan_text(plan, probe->place, &made->place) != E64_OK
        || plan_text(plan, probe->owner, &made->owner) != E64_OK;
    if (step->failed)
        return;
    made->result = probe->result;
    step->count++;
}

// "by DT_RUNPATH of ./a.so": which of the places had it.
static void add_place(struct text *text, const struct plan_step *step)
{
    const e64_probe *taken = NULL;
    for (size_t i = 0; i < step->count; i++)
        if (step->probes[i].result == E64_OK)
            taken = &step->probes[i];
    text_add(text, "by ");
    text_add(text, taken ? taken->place : "its name");
    if (taken && taken->owner) {
        text_add(text, " of ");
        text_add(text, taken->owner);
    }
}

static void add_reason(struct text *text, const struct plan_step *step,
                       const struct elf_object *object)
{
    bool searched = step->asked || step->provided || step->count > 0;
    bool foreseen = object->host && host_module_of(object)->foreseen;
    if (foreseen)
        text_add(text, "glibc opens it, found ");
    else if (object->host)
        text_add(text, "the process has it");
    else if (plan_is_open(plugin_of(object)))
        text_add(text, "the runtime has it open");
    if (text->size > 0 && !foreseen) {
        if (!searched)
            return;
        text_add(text, ", as the file that is found ");
    }
    if (step->provided)
        text_add(text, "by what the policy provides");
    else if (step->asked)
        text_add(text, "by the search hook");
    else
        add_place(text, step);
}

static e64_status wanter_of(struct e64_plan *plan, const e64_plugin *wanter,
                            const e64_plan_object **shown)
{
    struct plan_object *record;
    bool made;
    *shown = NULL;
    if (!wanter)
        return E64_OK;
    e64_status status = plan_object(plan, &wanter->unit.object, &record, &made);
    if (status == E64_OK)
        *shown = &record->shown;
    return status;
}

// How it came into the plan.
static e64_status note(struct e64_plan *plan, struct plan_object *record,
                       const struct plan_step *step)
{
    e64_plan_object *shown = &record->shown;
    e64_status status = plan_text(plan, step->name, &shown->name);
    if (status == E64_OK)
        status = wanter_of(plan, step->wanter, &shown->wanter);
    shown->probes = step->probes;
    shown->probe_count = step->count;
    return status;
}

static e64_status note_found(struct e64_plan *plan,
                             const struct plan_step *step,
                             const struct elf_object *found)
{
    struct plan_object *record;
    bool made;
    e64_status status = plan_object(plan, found, &record, &made);
    if (status != E64_OK || record->shown.why)
        return status;
    struct text why = { 0 };
    add_reason(&why, step, found);
    status = why.failed ? fail_memory(why.size) : note(plan, record, step);
    if (status == E64_OK)
        status = plan_text(plan, text_get(&why), &record->shown.why);
    text_free(&why);
    return status;
}

e64_status plan_end(struct discovery *discovery, struct plan_step *step,
                    e64_status status, const struct elf_object *found)
{
    struct e64_plan *plan = discovery->plan;
    plan->step = step->outer;
    plan->last = *step;
    if (status == E64_OK && step->failed)
        status = fail_memory(sizeof *step->probes);
    return status == E64_OK && found ? note_found(plan, step, found) : status;
}

e64_status plan_without(struct e64_plan *plan, const char *name,
                        e64_plugin *wanter, e64_status status)
{
    struct plan_object *record;
    struct plan_step step = plan->last;
    step.name = name;
    step.wanter = wanter;
    // What was tried is told of it, unless that could not be noted.
    if (step.failed)
        return fail_memory(sizeof *step.probes);
    const char *message;
    e64_status noted = plan_text(plan, error_pending()->message, &message);
    if (noted == E64_OK)
        noted = plan_absent(plan, &record);
    if (noted != E64_OK)
        return noted;
    record->shown.state = E64_PLAN_ABSENT;
    record->shown.status = status;
    record->shown.message = message;
    return note(plan, record, &step);
}

const struct plan_object *plan_lacks(const struct e64_plan *plan,
                                     const e64_plugin *wanter,
                                     const char *name)
{
    for (uint32_t i = 0; i < plan->object_count; i++) {
        const struct plan_object *record = plan->objects[i];
        const struct plan_object *by
            = (const struct plan_object *)record->shown.wanter;
        if (record->shown.state == E64_PLAN_ABSENT && by
            && by->object == &wanter->unit.object
            && strcmp(record->shown.name, name) == 0)
            return record;
    }
    return NULL;
}

// Looks as glibc does when this loader asks it: for the executable, or for a
// module that needs it.
static e64_status foresee(struct discovery *discovery, const char *name,
                          const struct host_module *wanter, bool tell,
                          struct host_module **module)
{
    struct search_wanter by = { .path = NULL };
    if (wanter) {
        const struct elf_image *image = host_foreseen_image(wanter);
        by = (struct search_wanter){
            .path = wanter->path,
            .rpath = image->rpath ? elf_string(&wanter->symbols, image->rpath)
                                  : NULL,
            .runpath = image->runpath
                     ? elf_string(&wanter->symbols, image->runpath) : NULL,
            .nodeflib = image->flags_1 & DF_1_NODEFLIB,
        };
    }
    const struct search_request request = {
        .name = name, .wanter = wanter ? &by : NULL,
        .probe = tell ? plan_probe : NULL, .probe_data = discovery->plan,
    };
    struct elf_file file;
    e64_status status = search_open(&request, &file);
    if (status == E64_OK)
        status = host_foresee(discovery->snapshot, &file, module);
    return status;
}

// What the new modules need, and what that needs.
static e64_status foresee_needs(struct discovery *discovery, uint32_t at)
{
    const struct host_snapshot *snapshot = discovery->snapshot;
    e64_status status = E64_OK;
    for (; status == E64_OK && at < snapshot->module_count; at++) {
        const struct host_module *by = snapshot->modules[at];
        for (uint32_t i = 0; status == E64_OK && i < by->needed_count; i++) {
            struct host_module *module = NULL;
            struct plan_step step;
            if (host_find(snapshot, by->needed[i]))
                continue;
            plan_begin(discovery->plan, &step, by->needed[i], NULL);
            status = foresee(discovery, by->needed[i], by, true, &module);
            status = plan_end(discovery, &step, status,
                              status == E64_OK ? &module->object : NULL);
        }
    }
    return status;
}

e64_status plan_family(struct discovery *discovery, const char *name,
                       const char *path, const struct elf_object **found)
{
    struct host_module *module = NULL;
    uint32_t modules = discovery->snapshot->module_count;
    uint32_t objects = discovery->plan->object_count;
    // A path that was searched for has been told of.
    e64_status status = foresee(discovery, path, NULL, strcmp(path, name) == 0,
                                &module);
    if (status == E64_OK)
        status = foresee_needs(discovery, modules);
    if (status == E64_OK) {
        *found = &module->object;
    } else {
        plan_take_back(discovery->plan, objects);
        host_unforesee(discovery->snapshot, modules);
    }
    return status;
}
