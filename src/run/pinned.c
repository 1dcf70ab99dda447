// What an open has found stays until it has ended, whoever closes it.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

static __thread struct discovery *innermost
    __attribute__((tls_model("initial-exec")));

void pinned_begin(struct discovery *discovery)
{
    discovery->outer = innermost;
    innermost = discovery;
}

static struct pinned *find(const struct discovery *discovery,
                           const e64_plugin *plugin)
{
    for (uint32_t i = discovery->pinned_count; i-- > 0; )
        if (discovery->pinned[i].plugin == plugin)
            return &discovery->pinned[i];
    return NULL;
}

void pinned_add(struct discovery *discovery, e64_plugin *plugin)
{
    if (find(discovery, plugin))
        return;
    if (discovery->pinned_count == discovery->pinned_room) {
        uint32_t room = discovery->pinned_room ? 2 * discovery->pinned_room
                                               : 16;
        struct pinned *pinned = memory_resize(discovery->pinned,
                                              room * sizeof *pinned);
        if (!pinned) {
            discovery->failed = true;
            return;
        }
        discovery->pinned = pinned;
        discovery->pinned_room = room;
    }
    discovery->pinned[discovery->pinned_count++]
        = (struct pinned){ .plugin = plugin };
    plugin->pins++;
}

void pinned_add_innermost(e64_plugin *plugin)
{
    struct discovery *discovery = innermost;
    while (discovery && discovery->runtime != plugin->runtime)
        discovery = discovery->outer;
    if (discovery)
        pinned_add(discovery, plugin);
}

e64_status pinned_add_name(struct discovery *discovery, e64_plugin *plugin,
                           const char *name)
{
    struct pinned *pinned = find(discovery, plugin);
    if (!pinned)
        return fail_memory(sizeof *pinned);
    struct plugin_name *made = plugin_make_name(name);
    if (!made)
        return E64_NOMEMORY;
    made->next = pinned->names;
    pinned->names = made;
    return E64_OK;
}

e64_plugin *pinned_find_name(const struct discovery *discovery,
                             const char *name)
{
    uint32_t hash = plugin_name_hash(name);
    for (uint32_t i = 0; i < discovery->pinned_count; i++)
        for (const struct plugin_name *known = discovery->pinned[i].names;
             known; known = known->next)
            if (known->hash == hash && strcmp(known->text, name) == 0)
                return discovery->pinned[i].plugin;
    return NULL;
}

void pinned_publish_names(struct discovery *discovery)
{
    for (uint32_t i = 0; i < discovery->pinned_count; i++) {
        struct pinned *pinned = &discovery->pinned[i];
        while (pinned->names) {
            struct plugin_name *name = pinned->names;
            pinned->names = name->next;
            // Another thread may have come to it by the same name.
            if (plugin_has_name(pinned->plugin, name->text, name->hash))
                memory_free(name);
            else
                plugin_take_name(pinned->plugin, name);
        }
    }
}

void pinned_release(struct discovery *discovery)
{
    innermost = discovery->outer;
    for (uint32_t i = discovery->pinned_count; i-- > 0; ) {
        while (discovery->pinned[i].names) {
            struct plugin_name *name = discovery->pinned[i].names;
            discovery->pinned[i].names = name->next;
            memory_free(name);
        }
        close_unpinned(discovery->pinned[i].plugin);
    }
    memory_free(discovery->pinned);
}

void pinned_forget_others(e64_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        runtime->plugins[i]->pins = 0;
    for (const struct discovery *own = innermost; own; own = own->outer)
        for (uint32_t i = 0; own->runtime == runtime && i < own->pinned_count;
             i++)
            own->pinned[i].plugin->pins++;
}
