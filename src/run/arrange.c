// The order in which plugins are started, when a hook has a say in it.

#include "hooks.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

// What is to be started, as ld.so would: dependencies first, but for what asks
// to be the first of all (DF_1_INITFIRST).
static uint32_t collect(const e64_plugin *root, e64_plugin **list)
{
    uint32_t count = 0;
    const e64_plugin *first = start_first(root);
    for (uint32_t i = root->order_count; i-- > 0; ) {
        e64_plugin *plugin = root->order[i];
        if (atomic_load(&plugin->state) != E64_STATE_MAPPED)
            continue;
        list[count++] = plugin;
        if (plugin == first) {
            memmove(list + 1, list, (count - 1) * sizeof *list);
            list[0] = plugin;
        }
    }
    return count;
}

static uint32_t place(e64_plugin *const *list, uint32_t count,
                      const e64_plugin *plugin)
{
    uint32_t at = 0;
    while (at < count && list[at] != plugin)
        at++;
    return at;
}

static const char *name_of(const e64_plugin *plugin)
{
    return plugin->unit.object.name;
}

static e64_status check_same(const char *root, e64_plugin *const *wanted,
                             e64_plugin *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (place(wanted, count, list[i]) == count)
            return fail(E64_HOOK, "%s: the order hook has left out %s: its "
                        "answer must be the same plugins in another order",
                        root, name_of(list[i]));
    }
    return E64_OK; // as many, and all there: none stands there twice
}

static const e64_plugin *dependency(const e64_plugin *plugin, uint32_t i)
{
    const struct elf_object *object = i < plugin->need_count
        ? plugin->needs[i] : plugin->filters[i - plugin->need_count];
    return object ? plugin_of(object) : NULL;
}

static uint32_t dependencies(const e64_plugin *plugin)
{
    return plugin->need_count + plugin->filter_count;
}

// Does one need the other, directly or not? `seen` has a byte for each of the
// list, zero for those that are not looked at yet.
static bool leads_to(const e64_plugin *from, const e64_plugin *to,
                     e64_plugin *const *list, uint32_t count,
                     unsigned char *seen)
{
    if (from == to)
        return true;
    uint32_t at = place(list, count, from);
    if (at == count || seen[at])
        return false;
    seen[at] = 1;
    for (uint32_t i = 0; i < dependencies(from); i++) {
        const e64_plugin *next = dependency(from, i);
        if (next && leads_to(next, to, list, count, seen))
            return true;
    }
    return false;
}

static e64_status refuse(const char *root, const e64_plugin *plugin,
                         const e64_plugin *needed, bool circle)
{
    fail(E64_HOOK, "%s: the order hook starts %s before %s, which it needs%s%s"
         "%s; put %s first, or set `force`", root, name_of(plugin),
         name_of(needed), circle ? "; they need each other in a circle, which "
         "is cut where ld.so cuts it: before " : "",
         circle ? name_of(plugin) : "", circle ? " is started" : "",
         name_of(needed));
    error_wanter(name_of(plugin));
    error_path(name_of(needed));
    return E64_HOOK;
}

// What stands later in the answer though it is needed, and stood before in
// ld.so's order: in a circle somebody has to be the first.
static e64_status check_order(const char *root, e64_plugin *const *wanted,
                              e64_plugin *const *list, uint32_t count,
                              unsigned char *seen)
{
    for (uint32_t i = 0; i < count; i++) {
        const e64_plugin *plugin = wanted[i];
        uint32_t before = place(list, count, plugin);
        for (uint32_t k = 0; k < dependencies(plugin); k++) {
            const e64_plugin *needed = dependency(plugin, k);
            if (!needed || place(list, count, needed) >= before
                || place(wanted, count, needed) < i)
                continue;
            memset(seen, 0, count);
            return refuse(root, plugin, needed,
                          leads_to(needed, plugin, list, count, seen));
        }
    }
    return E64_OK;
}

static __attribute__((noinline)) e64_status
ask(const e64_plugin *root, e64_plugin **wanted, uint32_t count)
{
    e64_runtime *runtime = root->runtime;
    struct hook_call call;
    e64_error error;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "order");
    e64_status answer = runtime->hooks.order(runtime->hooks.order_data, runtime,
                                             wanted, count, &error);
    hook_leave(&call);
    if (answer == E64_OK && !call.misused)
        return E64_OK;
    return hook_failed(&call, answer, &error, name_of(root));
}

e64_status hook_order(e64_plugin *root)
{
    // Others may be starting one that is registered.
    if (!root->runtime->hooks.order || !root->order_count || root->turn)
        return E64_OK;
    uint32_t room = root->order_count;
    e64_plugin **list = memory_array(room, sizeof *list);
    e64_plugin **wanted = memory_array(room, sizeof *wanted);
    unsigned char *seen = memory_array(room, 1);
    e64_status status = list && wanted && seen ? E64_OK
                      : fail_memory(room * sizeof *list);
    uint32_t count = status == E64_OK ? collect(root, list) : 0;
    if (count)
        memcpy(wanted, list, count * sizeof *list);
    if (status == E64_OK)
        status = ask(root, wanted, count);
    if (status == E64_OK)
        status = check_same(name_of(root), wanted, list, count);
    if (status == E64_OK && !root->runtime->hooks.force)
        status = check_order(name_of(root), wanted, list, count, seen);
    memory_free(list);
    memory_free(seen);
    if (status == E64_OK) {
        root->starts = wanted;
        root->start_count = count;
    } else {
        memory_free(wanted);
    }
    return status;
}
