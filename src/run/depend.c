// What a plugin comes to be bound to while it runs: by dlsym, or by a first
// call.

#include "run.h"

#include "../memory.h"

void depend_on_plugin(e64_plugin *plugin, e64_plugin *definer)
{
    if (definer == plugin || definer->nodelete)
        return;
    for (uint32_t i = 0; i < plugin->need_count; i++)
        if (plugin->needs[i] == &definer->unit.object)
            return;
    for (uint32_t i = 0; i < plugin->scope_count; i++)
        if (plugin->scope[i] == &definer->unit.object)
            return;
    for (uint32_t i = 0; i < plugin->bound_count; i++)
        if (plugin->bound[i] == definer)
            return;
    e64_plugin **bound = memory_resize(plugin->bound, (plugin->bound_count + 1)
                                                      * sizeof *bound);
    if (!bound) {
        definer->nodelete = true;
        return;
    }
    plugin->bound = bound;
    bound[plugin->bound_count++] = definer;
    // A resolver may ask before the open has published the plugin, which counts
    // all that is bound; until then the open keeps it. What has been stopped
    // keeps this one mapped, but not from being stopped.
    if (plugin->depends)
        definer->dependents++;
    else if (!plugin->turn)
        pinned_add_innermost(definer);
}

bool depend_on_host(e64_plugin *plugin, struct host_module *module)
{
    struct lock *lock = &plugin->runtime->lock;
    lock_take(lock);
    bool known = module->startup;
    for (uint32_t i = 0; i < plugin->kept_count && !known; i++)
        known = plugin->kept[i] == module;
    lock_give(lock);
    if (known)
        return true;
    if (host_keep(module) != E64_OK)
        return false;
    lock_take(lock);
    struct host_module **kept = memory_resize(plugin->kept,
                                              (plugin->kept_count + 1)
                                              * sizeof *kept);
    if (kept) {
        plugin->kept = kept;
        kept[plugin->kept_count++] = module;
    }
    lock_give(lock);
    return true;
}
