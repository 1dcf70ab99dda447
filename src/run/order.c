// The order in which plugins are started and stopped: ld.so's, which sorts by
// depth-first search from the last of a list to its first. Only plugins take
// part: what the host has needs none of them.

#include "run.h"

#include "../error.h"
#include "../memory.h"

struct sorting {
    e64_plugin **head; // sorted ones go before it
    bool all;          // bindings count as dependencies
    const e64_plugin *blank; // its own dependencies are not followed
    bool found_bound;  // there were any
};

static void visit(struct sorting *sorting, e64_plugin *plugin);

static void visit_object(struct sorting *sorting,
                         const struct elf_object *object)
{
    e64_plugin *plugin = object ? plugin_of(object) : NULL;
    if (plugin)
        visit(sorting, plugin);
}

static void visit(struct sorting *sorting, e64_plugin *plugin)
{
    // Marks are set on those that take part and are not placed yet.
    if (!plugin->marked)
        return;
    plugin->marked = false;
    if (plugin == sorting->blank) {
        // All of them are in the list.
    } else if (plugin->order) {
        for (uint32_t i = 0; i < plugin->order_count; i++)
            visit(sorting, plugin->order[i]);
    } else {
        for (uint32_t i = 0; i < plugin->need_count; i++)
            visit_object(sorting, plugin->needs[i]);
        for (uint32_t i = 0; i < plugin->filter_count; i++)
            visit_object(sorting, plugin->filters[i]);
    }
    if (sorting->all) {
        sorting->found_bound |= plugin->bound_count > 0;
        for (uint32_t i = plugin->bound_count; i-- > 0; )
            visit(sorting, plugin->bound[i]);
    }
    *--sorting->head = plugin;
}

static bool sort(e64_plugin **plugins, e64_plugin **sorted, uint32_t count,
                 bool all, const e64_plugin *blank)
{
    struct sorting sorting = { .head = sorted + count, .all = all,
                               .blank = blank };
    for (uint32_t i = 0; i < count; i++)
        plugins[i]->marked = true;
    for (uint32_t i = count; i-- > 0; )
        visit(&sorting, plugins[i]);
    for (uint32_t i = 0; i < count; i++)
        plugins[i] = sorted[i];
    return sorting.found_bound;
}

static e64_status order(e64_plugin **plugins, uint32_t count, bool all,
                        const e64_plugin *blank)
{
    e64_plugin **sorted = vital_resize(NULL, count * sizeof *sorted);
    if (!sorted)
        return fail_memory(count * sizeof *sorted);
    // Where bindings make a circle with what is needed, the latter counts.
    if (sort(plugins, sorted, count, all, blank))
        sort(plugins, sorted, count, false, blank);
    vital_free(sorted);
    return E64_OK;
}

e64_status order_start(e64_plugin **plugins, uint32_t count, bool fresh)
{
    e64_plugin *root = plugins[0];
    e64_status status = order(plugins, count, false, fresh ? root : NULL);
    // Where the root is part of a circle, it is started last all the same.
    uint32_t at = 0;
    while (plugins[at] != root)
        at++;
    for (; at > 0; at--)
        plugins[at] = plugins[at - 1];
    plugins[0] = root;
    return status;
}

e64_status order_stop(e64_plugin **plugins, uint32_t count)
{
    return order(plugins, count, true, NULL);
}
