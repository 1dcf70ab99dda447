// What closing, waiting and telling of pins share.

#ifndef RUN_CLOSE_H
#define RUN_CLOSE_H

#include "run.h"

// A growing list of plugins, which may be walked while it grows.
struct plugin_list {
    e64_plugin **plugins;
    uint32_t count, room;
    bool failed; // one is missing, for want of memory
};

void list_add(struct plugin_list *list, e64_plugin *plugin);
void list_free(struct plugin_list *list);

// Calls `visit` with each plugin that one needs or is bound to.
void each_needed(const e64_plugin *plugin,
                 void (*visit)(void *data, e64_plugin *needed), void *data);

// ----------------------------------------------------------- waiting.c ---

// Plugins that are to be stopped wait to be unmapped then, and waiting_look
// looks after them. With the runtime's lock held.
void waiting_add(e64_runtime *runtime, const struct plugin_list *taken);

// Unmaps those that nothing points into any more. With the runtime's lock held,
// which it gives up; the runtime may be gone then. When another thread is at
// it, that one does so once more.
void waiting_look(e64_runtime *runtime);

// The same before something is opened or closed in a runtime, for that one and
// for those that were freed while something had to wait. Nothing may be locked.
void waiting_look_before(e64_runtime *runtime);

#endif
