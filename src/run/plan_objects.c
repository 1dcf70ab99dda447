// What a plan tells of the files and objects that take part.

#include "plan.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "objects.h"

// Bytes that no file stands for can only be told by themselves (FNV-1a).
static uint64_t digest(struct view view)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < view.size; i++)
        sum = (sum ^ view.data[i]) * 0x100000001b3u;
    return sum;
}

struct plan_identity plan_identify(const struct elf_file *file)
{
    return (struct plan_identity){
        .identified = file->identified,
        .device = file->device,
        .inode = file->inode,
        .size = file->view.size,
        .modified = file->modified,
        .changed = file->changed,
        .digest = file->identified ? 0 : digest(file->view),
    };
}

static e64_status know_plugin(struct e64_plan *plan, e64_plugin *plugin,
                              struct plan_object *record)
{
    e64_plan_object *shown = &record->shown;
    if (plan_is_open(plugin)) {
        shown->state = E64_PLAN_OPEN;
        record->plugin = plugin_hold(plugin);
        return shown->why ? E64_OK
             : plan_text(plan, plugin->outside ? "the program gives it"
                               : "the runtime has it open", &shown->why);
    }
    struct link_memory memory;
    const struct elf_image *image = &plugin->unit.image;
    link_measure(&plugin->unit, &memory);
    shown->state = E64_PLAN_NEW;
    shown->memory = memory.all;
    shown->code = memory.code;
    shown->data = memory.data;
    shown->sealed = memory.sealed;
    shown->tls_size = image->has_tls ? image->tls_size : 0;
    shown->tls_align = image->has_tls ? image->tls_align : 0;
    record->identity = plan_identify(objects_file(plugin));
    return E64_OK;
}

static e64_status know_module(struct e64_plan *plan,
                              const struct host_module *module,
                              struct plan_object *record)
{
    e64_plan_object *shown = &record->shown;
    const char *why = "the process has it";
    shown->state = module->foreseen ? E64_PLAN_FAMILY : E64_PLAN_HOST;
    record->base = module->object.bias;
    if (module->foreseen) {
        record->identity = plan_identify(host_foreseen_file(module));
        why = "glibc opens it";
    }
    return shown->why ? E64_OK : plan_text(plan, why, &shown->why);
}

e64_status plan_know(struct e64_plan *plan, const struct elf_object *object,
                     struct plan_object **record)
{
    bool made;
    e64_status status = plan_object(plan, object, record, &made);
    if (status != E64_OK || (*record)->shown.path)
        return status;
    e64_plan_object *shown = &(*record)->shown;
    status = object->host
        ? know_module(plan, host_module_of(object), *record)
        : know_plugin(plan, plugin_of(object), *record);
    if (status == E64_OK)
        status = plan_text(plan, object->soname, &shown->soname);
    if (status == E64_OK && !shown->name)
        status = plan_text(plan, object->soname ? object->soname
                                                : object->name, &shown->name);
    if (status == E64_OK)
        status = plan_text(plan, object->name, &shown->path);
    return status;
}

// --------------------------------------------------------------- needs ---

static e64_status add_need(struct e64_plan *plan, struct plan_object *record,
                           const char *name, const char *kind,
                           const e64_plan_object *object)
{
    e64_plan_object *shown = &record->shown;
    e64_need *need = (e64_need *)&shown->needs[shown->need_count];
    need->kind = kind;
    need->object = object;
    shown->need_count++;
    return plan_text(plan, name, &need->name);
}

// An object that stands for a name, or what is noted of its absence.
static e64_status add_needed(struct e64_plan *plan, struct plan_object *record,
                             const e64_plugin *wanter, const char *name,
                             const char *kind,
                             const struct elf_object *object)
{
    struct plan_object *needed = NULL;
    e64_status status = E64_OK;
    if (object)
        status = plan_know(plan, object, &needed);
    else if (wanter)
        needed = (struct plan_object *)plan_lacks(plan, wanter, name);
    if (status != E64_OK || !needed)
        return status;
    if (object && object->host && !needed->shown.wanter
        && needed->shown.state == E64_PLAN_FAMILY && needed != record)
        needed->shown.wanter = &record->shown;
    return add_need(plan, record, name, kind, &needed->shown);
}

static e64_status make_room(struct e64_plan *plan, struct plan_object *record,
                            size_t count)
{
    e64_need *needs = count ? plan_memory(plan, count * sizeof *needs) : NULL;
    record->shown.needs = needs;
    return count && !needs ? E64_NOMEMORY : E64_OK;
}

static e64_status add_plugin_needs(struct e64_plan *plan,
                                   struct plan_object *record,
                                   const e64_plugin *plugin)
{
    const struct elf_image *image = &plugin->unit.image;
    const struct elf_symbols *symbols = &image->symbols;
    e64_status status = make_room(plan, record, (size_t)plugin->need_count
                                                + plugin->filter_count);
    for (uint32_t i = 0; status == E64_OK && i < plugin->need_count; i++)
        status = add_needed(plan, record, plugin,
                            elf_string(symbols, image->needed[i]), "needed",
                            plugin->needs[i]);
    for (uint32_t i = 0; status == E64_OK && i < plugin->filter_count; i++)
        status = add_needed(plan, record, plugin,
                            elf_string(symbols, image->filters[i].name),
                            image->filters[i].auxiliary ? "auxiliary"
                                                        : "filter",
                            plugin->filters[i]);
    return status;
}

static e64_status add_module_needs(const struct discovery *discovery,
                                   struct plan_object *record,
                                   const struct host_module *module)
{
    struct e64_plan *plan = discovery->plan;
    e64_status status = make_room(plan, record, module->needed_count);
    for (uint32_t i = 0; status == E64_OK && i < module->needed_count; i++) {
        const struct host_module *needed = host_find(discovery->snapshot,
                                                     module->needed[i]);
        status = add_needed(plan, record, NULL, module->needed[i], "needed",
                            needed ? &needed->object : NULL);
    }
    return status;
}

// The scope's come first, in its order.
static e64_status arrange(struct e64_plan *plan,
                          const struct elf_object *const *scope,
                          uint32_t count)
{
    struct plan_object **sorted = memory_array(plan->object_room,
                                               sizeof *sorted);
    uint32_t used = 0;
    if (!sorted)
        return fail_memory(plan->object_room * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++) {
        bool made;
        plan_object(plan, scope[i], &sorted[used++], &made);
    }
    for (uint32_t i = 0; i < plan->object_count; i++) {
        struct plan_object *record = plan->objects[i];
        uint32_t at = 0;
        while (at < count && sorted[at] != record)
            at++;
        if (at == count)
            sorted[used++] = record;
    }
    memory_free(plan->objects);
    plan->objects = sorted;
    plan->scope_count = count;
    plan_refile(plan);
    return E64_OK;
}

e64_status plan_describe_all(struct discovery *discovery,
                             const struct elf_object *const *scope,
                             uint32_t count)
{
    struct e64_plan *plan = discovery->plan;
    struct plan_object *record;
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < count; i++)
        status = plan_know(plan, scope[i], &record);
    // Those that are added on the way have their needs told, too.
    for (uint32_t i = 0; status == E64_OK && i < plan->object_count; i++) {
        const struct elf_object *object = plan->objects[i]->object;
        if (!object)
            continue; // absent
        status = plan_know(plan, object, &record);
        if (status == E64_OK)
            status = object->host
                ? add_module_needs(discovery, record, host_module_of(object))
                : add_plugin_needs(plan, record, plugin_of(object));
    }
    return status == E64_OK ? arrange(plan, scope, count) : status;
}
