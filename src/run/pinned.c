// What an open has found stays until it has ended, whoever closes it.

#include "run.h"

#include "../memory.h"

static __thread struct discovery *innermost
    __attribute__((tls_model("initial-exec")));

void pinned_begin(struct discovery *discovery)
{
    discovery->outer = innermost;
    innermost = discovery;
}

void pinned_add(struct discovery *discovery, e64_plugin *plugin)
{
    for (uint32_t i = discovery->pinned_count; i-- > 0; )
        if (discovery->pinned[i] == plugin)
            return;
    if (discovery->pinned_count == discovery->pinned_room) {
        uint32_t room = discovery->pinned_room ? 2 * discovery->pinned_room
                                               : 16;
        e64_plugin **pinned = memory_resize(discovery->pinned,
                                            room * sizeof *pinned);
        if (!pinned) {
            discovery->failed = true;
            return;
        }
        discovery->pinned = pinned;
        discovery->pinned_room = room;
    }
    discovery->pinned[discovery->pinned_count++] = plugin;
    plugin->pins++;
}

void pinned_release(struct discovery *discovery)
{
    innermost = discovery->outer;
    for (uint32_t i = discovery->pinned_count; i-- > 0; )
        close_unpinned(discovery->pinned[i]);
    memory_free(discovery->pinned);
}

void pinned_forget_others(e64_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        runtime->plugins[i]->pins = 0;
    for (const struct discovery *own = innermost; own; own = own->outer)
        for (uint32_t i = 0; own->runtime == runtime && i < own->pinned_count;
             i++)
            own->pinned[i]->pins++;
}
