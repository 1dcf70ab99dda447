// Is the world still as it was planned? An open that commits a plan goes the
// whole way of any other; here what it comes to is held against the plan.

#include "plan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../error.h"
#include "../limit.h"
#include "objects.h"

static e64_status changed(const struct e64_plan *plan, const char *path,
                          const char *what)
{
    fail(E64_CHANGED, "%s: is not any more as it was planned: %s: %s; plan "
         "it anew", plan->name, path, what);
    error_path(path);
    return E64_CHANGED;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// What is different, or NULL.
static const char *differs(const struct plan_identity *was,
                           const struct plan_identity *is)
{
    if (was->identified != is->identified)
        return "it comes from elsewhere";
    if (was->identified
        && (was->device != is->device || was->inode != is->inode))
        return "another file stands in its place";
    if (was->size != is->size)
        return "its size has changed";
    if (!is_same_time(was->modified, is->modified))
        return "it has been written to";
    if (!is_same_time(was->changed, is->changed))
        return "its inode has changed (mode, owner, links)";
    return was->digest != is->digest ? "its bytes have changed" : NULL;
}

e64_status plan_check_files(const struct e64_plan *plan)
{
    for (uint32_t i = 0; i < plan->object_count; i++) {
        const struct plan_object *object = plan->objects[i];
        struct stat stat_;
        if (!object->identity.identified)
            continue;
        if (stat(object->shown.path, &stat_) != 0)
            return limit_is_passing(errno)
                 ? fail_system("%s: cannot stat", object->shown.path)
                 : changed(plan, object->shown.path, "it is gone");
        const struct plan_identity now = {
            .identified = true,
            .device = stat_.st_dev,
            .inode = stat_.st_ino,
            .size = (uint64_t)stat_.st_size,
            .modified = stat_.st_mtim,
            .changed = stat_.st_ctim,
        };
        const char *difference = differs(&object->identity, &now);
        if (difference)
            return changed(plan, object->shown.path, difference);
    }
    return E64_OK;
}

static const char *const states[] = {
    [E64_PLAN_NEW] = "it was to be opened",
    [E64_PLAN_OPEN] = "the runtime had it open",
    [E64_PLAN_HOST] = "the process had it",
    [E64_PLAN_FAMILY] = "glibc was to open it",
    [E64_PLAN_ABSENT] = "it was missing",
};

static bool is_planned_host(const struct plan_object *planned,
                            const struct host_module *module,
                            const struct host_snapshot *snapshot,
                            e64_status *status)
{
    const struct plan_identity *identity = &planned->identity;
    if (planned->shown.state == E64_PLAN_HOST)
        return planned->base == module->object.bias
            && strcmp(planned->shown.path, module->path) == 0;
    struct host_module *found;
    if (planned->shown.state != E64_PLAN_FAMILY)
        return false;
    if (strcmp(planned->shown.path, module->path) == 0)
        return true;
    *status = host_find_file(snapshot, identity->device, identity->inode,
                             &found);
    return *status == E64_OK && found == module;
}

// Is an object of the discovery the one that was planned, by all but what its
// file holds?
static bool is_planned(const struct discovery *discovery,
                       const struct plan_object *planned,
                       const struct elf_object *object, e64_status *status)
{
    if (object->host)
        return is_planned_host(planned, host_module_of(object),
                               discovery->snapshot, status);
    const e64_plugin *plugin = plugin_of(object);
    // What the runtime defines has another record each time.
    if (plugin->outside)
        return planned->plugin && planned->plugin->outside
            && strcmp(planned->shown.path, object->name) == 0;
    if (plan_is_open(plugin))
        return planned->plugin == plugin;
    return planned->shown.state == E64_PLAN_NEW
        && strcmp(planned->shown.path, object->name) == 0;
}

static e64_status compare(const struct discovery *discovery,
                          const struct plan_object *planned,
                          const struct elf_object *object)
{
    const struct e64_plan *plan = discovery->committed;
    e64_status status = E64_OK;
    if (is_planned(discovery, planned, object, &status)) {
        if (planned->shown.state != E64_PLAN_NEW)
            return E64_OK;
        const struct plan_identity now
            = plan_identify(objects_file(plugin_of(object)));
        const char *difference = differs(&planned->identity, &now);
        return difference ? changed(plan, object->name, difference) : E64_OK;
    }
    if (status != E64_OK)
        return status;
    fail(E64_CHANGED, "%s: is not any more as it was planned: %s (%s), but now "
         "it is %s (%s); plan it anew", plan->name,
         planned->shown.path ? planned->shown.path : planned->shown.name,
         states[planned->shown.state], object->name,
         object->host ? "the process has it"
         : plan_is_open(plugin_of(object)) ? "the runtime has it open"
         : "to be opened");
    error_path(object->name);
    return E64_CHANGED;
}

static e64_status check_objects(const struct discovery *discovery,
                                const struct elf_object *root,
                                const struct elf_object *const *scope,
                                uint32_t count)
{
    const struct e64_plan *plan = discovery->committed;
    const struct plan_object *planned
        = (const struct plan_object *)plan->info.root;
    e64_status status = compare(discovery, planned, root);
    for (uint32_t i = 0; status == E64_OK && i < count
                         && i < plan->scope_count; i++)
        status = compare(discovery, plan->objects[i], scope[i]);
    if (status == E64_OK && count > plan->scope_count)
        status = changed(plan, scope[plan->scope_count]->name,
                         "it is needed now");
    if (status == E64_OK && count < plan->scope_count)
        status = changed(plan, plan->objects[count]->shown.path,
                         "it is not needed now");
    return status;
}

e64_status plan_check_objects(struct discovery *discovery,
                              const struct elf_object *root,
                              const struct elf_object *const *scope,
                              uint32_t count)
{
    e64_status status = check_objects(discovery, root, scope, count);
    discovery->unlike = status == E64_CHANGED;
    return status;
}

// ------------------------------------------------------------- bindings ---

static e64_status rebound(const struct discovery *discovery,
                          const e64_plan_binding *planned,
                          const struct elf_object *definer)
{
    const struct e64_plan *plan = discovery->committed;
    fail(E64_CHANGED, "%s: is not any more as it was planned: '%s', which %s "
         "imports, was to be %s%s, and now is %s%s; plan it anew", plan->name,
         planned->symbol, planned->wanter->path,
         planned->provider ? "that of " : "left undefined",
         planned->provider ? planned->provider->path : "",
         definer ? "that of " : "undefined", definer ? definer->name : "");
    error_path(planned->wanter->path);
    error_wanter(planned->wanter->path);
    error_symbol(planned->symbol, planned->version);
    return E64_CHANGED;
}

// An undefined symbol of the plugin's own is what nothing provides.
static const struct elf_object *definer_of(const struct link_unit *unit,
                                           const struct link_binding *binding)
{
    Elf64_Sym symbol;
    return binding->definer == &unit->object
        && binding->definition == binding->symbol
        && elf_symbol(unit->object.symbols, binding->symbol, &symbol)
        && symbol.st_shndx == SHN_UNDEF ? NULL : binding->definer;
}

// Is it by the same way that the import got what it has?
static bool is_alike(const e64_plan_binding *planned,
                     const struct link_binding *binding)
{
    return planned->loader == (binding->via == LINK_VIA_OVERRIDE)
        && planned->intercepted == (binding->via == LINK_VIA_INTERCEPT)
        && planned->resolved == (binding->via == LINK_VIA_HOOK);
}

// The planned one of an object of the scope, which plan_check_objects has found
// to be the plan's; NULL for others. Two may have one path.
static const struct plan_object *planned_of(const struct e64_plan *plan,
                                            const e64_plugin *root,
                                            const struct elf_object *object)
{
    for (uint32_t i = 0; i < root->scope_count; i++)
        if (root->scope[i] == object)
            return plan->objects[i];
    return NULL;
}

static e64_status compare_binding(const struct discovery *discovery,
                                  const e64_plugin *root,
                                  const e64_plan_binding *planned,
                                  const struct link_unit *unit,
                                  const struct link_binding *binding)
{
    const struct elf_object *definer = definer_of(unit, binding);
    bool alike = !planned->provider == !definer
              && planned->index == binding->symbol
              && (!definer || ((planned->definition == binding->definition
                                || definer == discovery->defined)
                               && is_alike(planned, binding)
                               && planned->unique == binding->unique));
    e64_status status = E64_OK;
    if (alike && definer) {
        const struct plan_object *provider
            = (const struct plan_object *)planned->provider;
        const struct plan_object *now = planned_of(discovery->committed, root,
                                                   definer);
        alike = now ? now == provider
                    : is_planned(discovery, provider, definer, &status);
    }
    return alike || status != E64_OK ? status
                                     : rebound(discovery, planned, definer);
}

static e64_status check_plugin(const struct discovery *discovery,
                               const e64_plugin *root,
                               const struct link_unit *unit)
{
    const struct e64_plan *plan = discovery->committed;
    const struct plan_object *planned = planned_of(plan, root, &unit->object);
    if (!planned || planned->binding_count != unit->bindings.imports)
        return changed(plan, unit->object.name, "it has other imports");
    const e64_plan_binding *bindings = plan->bindings
                                     + planned->first_binding;
    e64_status status = E64_OK;
    struct link_walk walk = { 0 };
    struct link_binding binding;
    for (; status == E64_OK && link_next(unit, &walk, &binding); bindings++)
        status = compare_binding(discovery, root, bindings, unit, &binding);
    return status;
}

e64_status plan_check_bindings(struct discovery *discovery,
                               const e64_plugin *root)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < discovery->fresh_count; i++)
        status = check_plugin(discovery, root, &discovery->fresh[i]->unit);
    discovery->unlike = status == E64_CHANGED;
    return status;
}

// --------------------------------------------------------------- starts ---

struct starting {
    const struct e64_plan *plan;
    const e64_plugin *root;
    size_t count;            // of those that are as planned
    const e64_plugin *other; // the first that is not
};

static void compare_start(void *data, e64_plugin *plugin)
{
    struct starting *starting = data;
    const struct e64_plan *plan = starting->plan;
    const struct plan_object *planned = planned_of(plan, starting->root,
                                                   &plugin->unit.object);
    const e64_plan_object *shown = planned ? &planned->shown : NULL;
    if (starting->other
        || atomic_load(&plugin->state) != E64_STATE_MAPPED)
        return;
    // One that is told of before is started then, and not again.
    for (size_t i = 0; i < starting->count; i++)
        if (plan->starts[i] == shown)
            return;
    if (starting->count < plan->info.starts
        && plan->starts[starting->count] == shown)
        starting->count++;
    else
        starting->other = plugin;
}

e64_status plan_check_starts(struct discovery *discovery,
                             const e64_plugin *root)
{
    const struct e64_plan *plan = discovery->committed;
    struct starting starting = { .plan = plan, .root = root };
    start_each(root, compare_start, &starting);
    if (!starting.other && starting.count == plan->info.starts)
        return E64_OK;
    discovery->unlike = true;
    return changed(plan, starting.other ? starting.other->unit.object.name
                         : plan->starts[starting.count]->path,
                   "it is not started in the order that was planned");
}
