// Maps and binds the plugins that an open has discovered, as a group: first
// each is mapped, then all imports are resolved, then all is written. The
// plugins are the opening thread's own; nothing of them has run.

#include "decide.h"

#include "../error.h"
#include "../memory.h"
#include "define.h"
#include "hooks.h"
#include "lazy.h"
#include "missing.h"
#include "objects.h"
#include "overrides.h"
#include "perf.h"
#include "plan.h"
#include "provide.h"
#include "unwind.h"
#include "work.h"

static e64_status map_all(struct discovery *discovery, e64_times *times)
{
    uint64_t start = run_now();
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < discovery->fresh_count; i++) {
        uint64_t begin = run_now();
        e64_plugin *plugin = discovery->fresh[i];
        if (discovery->options->perf && perf_cannot_read(plugin))
            elf_file_forget(&plugin->unit.file);
        status = link_map(&plugin->unit);
        if (status == E64_OK) {
            plugin->known = true;
            hook_tell(discovery->runtime, E64_EVENT_MAPPED, plugin,
                      plugin->unit.object.name, hook_since(begin));
        }
    }
    times->map += run_now() - start;
    return status;
}

// What DT_VERNEED's file names are looked up among. Linkers have one string for
// a name there and in DT_NEEDED.
static const struct elf_object *find_file(void *data, const char *file)
{
    struct discovery *discovery = data;
    const e64_plugin *plugin = discovery->binding;
    const struct elf_image *image = &plugin->unit.image;
    for (uint32_t i = 0; i < plugin->need_count; i++)
        if (file == elf_string(&image->symbols, image->needed[i])
            && plugin->needs[i])
            return plugin->needs[i];
    return provide_open(discovery, provide_rule(discovery, discovery->binding,
                                                file), file);
}

static e64_status find_unique(void *data, const char *name,
                              struct link_binding *binding)
{
    return unique_bind(data, name, binding);
}

static void tell_missing(void *data, const struct link_unit *unit,
                         uint32_t symbol)
{
    struct discovery *discovery = data;
    missing_add(discovery->missing, unit, symbol);
}

static void tell_old(void *data, const struct link_unit *unit,
                     uint32_t version, const struct elf_object *object)
{
    struct discovery *discovery = data;
    missing_add_version(discovery->missing, unit, version, object);
    if (discovery->plan)
        plan_old(discovery->plan, unit, version, object);
}

static void add_list(struct link_scope *scope,
                     const struct elf_object *const *list, uint32_t count)
{
    scope->lists[scope->count] = list;
    scope->counts[scope->count++] = count;
}

// Has the policy something to say to what a plugin imports? Then it says it
// when the plugin is opened, not when a name is first called.
static bool decides(const e64_plugin *plugin)
{
    return !rules_are_empty(&plugin->rules) || plugin->runtime->hooks.resolve;
}

// A plan goes on where an open is denied something, and says what.
static e64_status decide_for_plan(void *data, struct link_unit *unit,
                                  const e64_import *import,
                                  struct link_binding *binding)
{
    struct discovery *discovery = data;
    uint32_t symbol = binding->symbol;
    e64_status status = decide_import(data, unit, import, binding);
    if (status != E64_DENIED)
        return status;
    *binding = (struct link_binding){ .symbol = symbol,
                                      .via = LINK_VIA_DENIED };
    return plan_fails(discovery->plan, status);
}

// The order of ld.so: the object itself with DT_SYMBOLIC, then, like a library
// that is preloaded, what the runtime defines by itself, then the process with
// what was opened globally, then the scope of what is being opened; the latter
// two the other way round with `deepbind`.
static void add_common(const struct discovery *discovery,
                       const e64_plugin *root, bool deepbind,
                       struct link_scope *scope)
{
    if (deepbind)
        add_list(scope, root->scope, root->scope_count);
    if (discovery->defined)
        add_list(scope, &discovery->defined, 1);
    add_list(scope, discovery->snapshot->globals,
             discovery->snapshot->global_count);
    add_list(scope, discovery->globals, discovery->global_count);
    if (!deepbind)
        add_list(scope, root->scope, root->scope_count);
}

static e64_status resolve_one(struct discovery *discovery, e64_plugin *plugin,
                              const e64_plugin *root, bool deepbind,
                              const struct link_positions *positions)
{
    const struct elf_object *self = &plugin->unit.object;
    struct link_scope scope = { .count = 0 };
    struct link_context context = {
        .override = override_find,
        .unique = find_unique,
        .find = find_file,
        .missing = tell_missing,
        .old = tell_old,
        .absent = discovery->plan ? plan_absent_file : NULL,
        .data = discovery,
    };
    if (decides(plugin))
        context.decide = discovery->plan ? decide_for_plan : decide_import;
    if (plugin_is_symbolic(plugin))
        add_list(&scope, &self, 1);
    else
        scope.positions = positions;
    add_common(discovery, root, deepbind, &scope);
    const struct elf_object **objects;
    bool missed = missing_any(discovery->missing);
    e64_status status = hook_scope(discovery, plugin, &scope, &objects);
    discovery->binding = plugin;
    if (scope.lists[0] == discovery->snapshot->globals)
        scope.host = discovery->snapshot;
    if (status == E64_OK)
        status = link_resolve(&plugin->unit, &scope, &context);
    discovery->binding = NULL;
    if (status == E64_OK && discovery->plan)
        status = plan_bind(discovery, plugin, &scope);
    if (status == E64_OK && !missed && missing_any(discovery->missing)
        && scope.count == 1) { // as only a hook makes it
        discovery->missing->scope = scope;
        discovery->missing->scope_objects = objects;
        objects = NULL;
    }
    memory_free(objects);
    return status;
}

// Definers that one plugin's bindings point into.
struct definers {
    const struct elf_object **objects;
    uint32_t count, room;
};

static e64_status add_definer(struct definers *definers,
                              const struct elf_object *object)
{
    for (uint32_t i = 0; i < definers->count; i++) {
        if (definers->objects[i] == object) {
            // Towards the front: the next import likely has the same.
            definers->objects[i] = definers->objects[i / 2];
            definers->objects[i / 2] = object;
            return E64_OK;
        }
    }
    e64_status status = memory_grow(&definers->objects, definers->count,
                                    &definers->room, sizeof object);
    if (status == E64_OK)
        definers->objects[definers->count++] = object;
    return status;
}

// What the policy puts in an import's place may lie in what the host could
// close, and which a hook may have opened only now: *later becomes the host as
// it is by then, if that is another one.
static e64_status add_replacement(struct definers *definers,
                                  const struct discovery *discovery,
                                  uint64_t address,
                                  struct host_snapshot **later)
{
    const struct host_module *module
        = host_containing(discovery->snapshot, address);
    if (!module && !*later && !host_snapshot_current(discovery->snapshot)) {
        e64_status status = host_snapshot(later);
        if (status != E64_OK)
            return status;
    }
    if (!module && *later)
        module = host_containing(*later, address);
    return module && !module->startup ? add_definer(definers, &module->object)
                                      : E64_OK;
}

static bool contains(const struct elf_object *const *list, uint32_t count,
                     const struct elf_object *object)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == object)
            return true;
    return false;
}

static bool is_needed(const e64_plugin *plugin,
                      const struct elf_object *object)
{
    return object == &plugin->unit.object
        || contains(plugin->scope, plugin->scope_count, object)
        || contains(plugin->needs, plugin->need_count, object)
        || contains(plugin->filters, plugin->filter_count, object);
}

// Host modules are kept open, plugins beyond what is needed are noted.
static e64_status keep_definers(e64_plugin *plugin,
                                const struct definers *definers)
{
    plugin->kept = memory_array(definers->count, sizeof *plugin->kept);
    plugin->bound = memory_array(definers->count, sizeof *plugin->bound);
    if (!plugin->kept || !plugin->bound)
        return fail_memory(definers->count * sizeof *plugin->kept);
    for (uint32_t i = 0; i < definers->count; i++) {
        const struct elf_object *object = definers->objects[i];
        e64_plugin *other = plugin_of(object);
        if (other) {
            if (!is_needed(plugin, object) && !other->nodelete)
                plugin->bound[plugin->bound_count++] = other;
            continue;
        }
        e64_status status = host_keep(host_module_of(object));
        if (status != E64_OK)
            return status;
        plugin->kept[plugin->kept_count++] = host_module_of(object);
    }
    return E64_OK;
}

// What the policy and the runtime's definitions have to do with it.
static e64_status add_given(struct definers *definers,
                            const struct discovery *discovery,
                            e64_plugin *plugin, struct host_snapshot **later)
{
    const struct link_bindings *bindings = &plugin->unit.bindings;
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < bindings->count; i++) {
        const struct link_entry *entry = &bindings->all[i];
        if (entry->via == LINK_VIA_INTERCEPT || entry->via == LINK_VIA_HOOK)
            status = add_replacement(definers, discovery, entry->value, later);
        if (status == E64_OK && entry->definer
            && bindings->definers[entry->definer] == discovery->defined)
            status = define_use(plugin, discovery->definitions,
                                entry->definition);
    }
    return status;
}

static e64_status keep_all(const struct discovery *discovery,
                           e64_plugin *plugin)
{
    const struct link_bindings *bindings = &plugin->unit.bindings;
    struct definers definers = { 0 };
    struct host_snapshot *later = NULL;
    e64_status status = E64_OK;
    for (uint32_t i = LINK_SELF + 1;
         status == E64_OK && i < bindings->definer_count; i++)
        status = add_definer(&definers, bindings->definers[i]);
    if (status == E64_OK && (decides(plugin) || discovery->defined))
        status = add_given(&definers, discovery, plugin, &later);
    for (uint32_t i = 0; status == E64_OK && i < plugin->need_count; i++)
        if (plugin->needs[i]->host)
            status = add_definer(&definers, plugin->needs[i]);
    for (uint32_t i = 0; status == E64_OK && i < plugin->filter_count; i++)
        if (plugin->filters[i] && plugin->filters[i]->host)
            status = add_definer(&definers, plugin->filters[i]);
    if (status == E64_OK)
        status = keep_definers(plugin, &definers);
    if (later)
        host_snapshot_release(later);
    memory_free(definers.objects);
    return status;
}

void bind_publish(e64_plugin *plugin, const struct elf_object *defined)
{
    struct link_bindings *bindings = &plugin->unit.bindings;
    uint32_t count = bindings->unique || defined ? bindings->count : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct link_entry *entry = &bindings->all[i];
        if (!entry->definer)
            continue;
        const struct elf_object *definer = bindings->definers[entry->definer];
        if (entry->unique)
            unique_keep_owner(plugin->runtime, definer);
        // The definitions are there as they were for this open alone.
        if (definer == defined) {
            entry->definer = LINK_NOBODY;
            entry->via = LINK_VIA_DEFINED;
        }
    }
    plugin->imports = bindings->imports;
    link_bindings_keep(bindings);
    link_use(&plugin->unit);
}

// An index of the scope that all have in common takes as long as a few plugins
// without it.
enum { INDEXED_PLUGINS = 16, INDEXED_OBJECTS = 32 };

static e64_status make_positions(const struct discovery *discovery,
                                 const e64_plugin *root, bool deepbind,
                                 struct link_positions **positions)
{
    struct link_scope scope = { .count = 0 };
    *positions = NULL;
    if (discovery->fresh_count < INDEXED_PLUGINS
        || root->scope_count < INDEXED_OBJECTS)
        return E64_OK;
    add_common(discovery, root, deepbind, &scope);
    return link_positions_new(&scope, positions);
}

static e64_status resolve_all(struct discovery *discovery, e64_plugin **sorted,
                              const e64_plugin *root, bool deepbind)
{
    struct missing missing = { 0 };
    struct link_positions *positions;
    e64_status status = make_positions(discovery, root, deepbind, &positions);
    discovery->missing = &missing;
    for (uint32_t i = discovery->fresh_count; status == E64_OK && i-- > 0; ) {
        uint64_t begin = run_now();
        status = resolve_one(discovery, sorted[i], root, deepbind, positions);
        // What is missing fails the open when all of it is known.
        if (status == E64_OK && !missing_any(&missing) && !discovery->plan)
            status = keep_all(discovery, sorted[i]);
        sorted[i]->binding_time = hook_since(begin);
    }
    if (status == E64_OK && missing_any(&missing)) {
        struct link_scope scope = missing.scope;
        if (!scope.count)
            add_common(discovery, root, deepbind, &scope);
        status = missing_fail(&missing, discovery, &scope);
        if (discovery->plan)
            status = plan_fails(discovery->plan, status);
    }
    missing_free(&missing);
    discovery->missing = NULL;
    link_positions_free(positions);
    return status;
}

static e64_status apply_all(struct discovery *discovery, e64_plugin **sorted)
{
    e64_status status = E64_OK;
    for (uint32_t i = discovery->fresh_count; i-- > 0; )
        decide_tell_originals(sorted[i]);
    for (uint32_t i = discovery->fresh_count; status == E64_OK && i-- > 0; ) {
        uint64_t begin = run_now();
        status = link_apply(&sorted[i]->unit);
        sorted[i]->binding_time += hook_since(begin);
    }
    for (uint32_t i = discovery->fresh_count; status == E64_OK && i-- > 0; )
        status = link_publish_tls(&sorted[i]->unit);
    for (uint32_t i = 0; status == E64_OK && i < discovery->fresh_count; i++)
        status = link_settle(&sorted[i]->unit);
    return status;
}

static bool is_fresh(const struct discovery *discovery,
                     const e64_plugin *plugin)
{
    for (uint32_t i = 0; i < discovery->fresh_count; i++)
        if (discovery->fresh[i] == plugin)
            return true;
    return false;
}

// What is new, dependents first.
static e64_status sort_fresh(const struct discovery *discovery,
                             const e64_plugin *root, bool deepbind,
                             e64_plugin ***sorted)
{
    *sorted = memory_array(discovery->fresh_count, sizeof **sorted);
    if (!*sorted)
        return fail_memory(discovery->fresh_count * sizeof **sorted);
    uint32_t count = 0;
    for (uint32_t i = 0; i < root->order_count; i++) {
        if (is_fresh(discovery, root->order[i])) {
            root->order[i]->deepbind = deepbind;
            (*sorted)[count++] = root->order[i];
        }
    }
    return E64_OK;
}

e64_status bind_plan(struct discovery *discovery, const e64_plugin *root,
                     bool deepbind)
{
    e64_plugin **sorted;
    e64_status status = sort_fresh(discovery, root, deepbind, &sorted);
    // Their storage has no number yet; any will do that is none.
    for (uint32_t i = 0; i < discovery->fresh_count; i++) {
        struct link_unit *unit = &discovery->fresh[i]->unit;
        unit->object.tls_module = unit->image.has_tls;
    }
    if (status == E64_OK)
        status = resolve_all(discovery, sorted, root, deepbind);
    memory_free(sorted);
    return status;
}

e64_status bind_group(struct discovery *discovery, e64_plugin *root,
                      bool deepbind)
{
    uint32_t count = discovery->fresh_count;
    e64_plugin **sorted;
    e64_status status = sort_fresh(discovery, root, deepbind, &sorted);
    if (status != E64_OK)
        return status;
    // What was found is still there, but hooks and other threads may have
    // opened what would be found now.
    if (!discovery->last && !host_snapshot_current(discovery->snapshot))
        status = fail(E64_CHANGED, "%s: the host opened or closed libraries "
                      "while it was being looked for",
                      root->unit.object.name);
    bool lazy = discovery->lazy && !discovery->defined
             && !discovery->runtime->hooks.scope;
    for (uint32_t i = 0; lazy && i < count; i++)
        if (!decides(sorted[i]))
            lazy_prepare(sorted[i], root);
    if (status == E64_OK)
        status = map_all(discovery, &root->times);
    uint64_t start = run_now();
    if (status == E64_OK)
        status = resolve_all(discovery, sorted, root, deepbind);
    if (status == E64_OK && discovery->committed)
        status = plan_check_bindings(discovery, root);
    uint64_t resolved = run_now();
    root->times.resolve += resolved - start;
    if (status == E64_OK)
        status = apply_all(discovery, sorted);
    if (status == E64_OK)
        status = unwind_publish(sorted, count, discovery->snapshot);
    root->times.apply += run_now() - resolved;
    for (uint32_t i = count; status == E64_OK && i-- > 0; )
        hook_tell(discovery->runtime, E64_EVENT_BOUND, sorted[i],
                  sorted[i]->unit.object.name, sorted[i]->binding_time);
    for (uint32_t i = count; status == E64_OK && i-- > 0; )
        status = hook_accept(sorted[i]);
    memory_free(sorted);
    return status;
}

// One that is to be finished now.
struct turn {
    e64_plugin *plugin;
    bool taken; // for this: what is being mapped is this thread's already
};

// Waits for those that another thread finishes. What is being finished further
// up on this stack, or must not be waited for, is left out.
static uint32_t take_turns(e64_plugin **plugins, uint32_t count,
                           struct turn *turns)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        e64_plugin *plugin = plugins[i];
        if (atomic_load(&plugin->sealed))
            continue;
        bool mine = work_is_mine(plugin);
        if (mine ? plugin->finishing : !work_take(plugin))
            continue;
        plugin->finishing = true;
        turns[taken++] = (struct turn){ plugin, !mine };
    }
    return taken;
}

static e64_status finish(const struct turn *turns, uint32_t count)
{
    e64_status status = E64_OK;
    bool runs = false;
    for (uint32_t i = 0; i < count; i++)
        runs |= turns[i].plugin->unit.deferred_count > 0;
    // Resolvers may write to any of them.
    for (uint32_t i = 0; runs && i < count; i++)
        link_use(&turns[i].plugin->unit);
    for (uint32_t i = count; status == E64_OK && i-- > 0; )
        if (!atomic_load(&turns[i].plugin->sealed))
            status = link_apply_deferred(&turns[i].plugin->unit);
    for (uint32_t i = 0; status == E64_OK && i < count; i++) {
        if (atomic_load(&turns[i].plugin->sealed))
            continue;
        status = link_seal(&turns[i].plugin->unit);
        if (status == E64_OK)
            atomic_store(&turns[i].plugin->sealed, true);
        if (status == E64_OK)
            objects_settle(turns[i].plugin);
    }
    return status;
}

e64_status bind_finish(e64_plugin **plugins, uint32_t count)
{
    uint32_t unsealed = 0;
    for (uint32_t i = 0; i < count; i++)
        unsealed += !atomic_load(&plugins[i]->sealed);
    if (!unsealed)
        return E64_OK;
    struct turn *turns = memory_array(unsealed, sizeof *turns);
    if (!turns)
        return fail_memory(unsealed * sizeof *turns);
    uint32_t taken = take_turns(plugins, count, turns);
    e64_status status = finish(turns, taken);
    for (uint32_t i = 0; i < taken; i++) {
        turns[i].plugin->finishing = false;
        if (turns[i].taken)
            work_give(turns[i].plugin);
    }
    memory_free(turns);
    return status;
}
