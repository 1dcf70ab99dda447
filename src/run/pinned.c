// What an open has found stays until it has ended, whoever closes it.

#include "run.h"

#include "../memory.h"

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
    for (uint32_t i = discovery->pinned_count; i-- > 0; )
        close_unpinned(discovery->pinned[i]);
    memory_free(discovery->pinned);
}
