// What an open has while it lasts: where it begins, and how it is undone.

#include "define.h"

#include "../error.h"
#include "../memory.h"
#include "hooks.h"
#include "unwind.h"
#include "work.h"

// Without what another thread is closing; what one is starting is waited for.
static e64_status copy_global(struct discovery *discovery,
                              const struct elf_object *object)
{
    e64_plugin *plugin = plugin_of(object);
    if (plugin && !discovery->alone && work_is_promised(plugin)) {
        discovery->awaited = plugin_hold(plugin);
        return fail(E64_CHANGED, "%s: another thread is starting it",
                    object->name);
    }
    if (plugin)
        pinned_add(discovery, plugin);
    discovery->globals[discovery->global_count++] = object;
    return E64_OK;
}

e64_status discovery_globals(struct discovery *discovery)
{
    e64_runtime *runtime = discovery->runtime;
    e64_status status = define_snapshot(runtime, &discovery->definitions);
    if (discovery->definitions)
        discovery->defined = &discovery->definitions->unit.object;
    lock_take(&runtime->lock);
    uint32_t count = status == E64_OK ? runtime->global_count : 0;
    if (count) {
        discovery->globals = memory_array(count, sizeof *discovery->globals);
        if (!discovery->globals)
            status = fail_memory(count * sizeof *discovery->globals);
    }
    bool promoted = false;
    for (uint32_t i = 0; status == E64_OK && i < count; i++) {
        const struct elf_object *object = runtime->globals[i];
        if (!registry_is_global(runtime, object))
            continue;
        promoted |= object->host;
        status = copy_global(discovery, object);
    }
    // What is the host's stays as long as those for which it is global.
    for (uint32_t i = 0; promoted && i < runtime->plugin_count; i++)
        if (runtime->plugins[i]->promotes && !runtime->plugins[i]->gone)
            pinned_add(discovery, runtime->plugins[i]);
    lock_give(&runtime->lock);
    return status;
}

// Undoes what was found but not published.
static void undo(struct discovery *discovery)
{
    e64_runtime *runtime = discovery->runtime;
    unwind_withdraw(discovery->fresh, discovery->fresh_count);
    lock_take(&runtime->lock);
    for (uint32_t i = discovery->fresh_count; i-- > 0; ) {
        unique_forget(runtime, &discovery->fresh[i]->unit.object);
        claims_remove(discovery->fresh[i]);
    }
    unique_settle(discovery, false);
    lock_give(&runtime->lock);
    while (discovery->fresh_count > 0) {
        e64_plugin *plugin = discovery->fresh[--discovery->fresh_count];
        bool known = plugin->known;
        uint64_t begin = run_now();
        plugin_unload(plugin);
        if (known)
            hook_tell(runtime, E64_EVENT_UNMAPPED, plugin,
                      plugin->unit.object.name, hook_since(begin));
        plugin_drop(plugin);
    }
}

void discovery_free(struct discovery *discovery)
{
    undo(discovery);
    memory_free(discovery->fresh);
    memory_free(discovery->globals);
    unique_free(&discovery->uniques);
    plugin_drop(discovery->definitions);
    why_free(&discovery->why);
    pinned_release(discovery);
    host_let_go(&discovery->hold);
    if (discovery->snapshot)
        host_snapshot_release(discovery->snapshot);
}

// Not inline: constructors and destructors run on what an e64_error leaves of a
// small stack.
__attribute__((noinline)) void discovery_fail(struct discovery *discovery)
{
    e64_error error;
    error_save(&error);
    discovery_free(discovery);
    error_restore(&error);
}
