// Tells unwinders that ask nobody what is mapped of each plugin's frames.

#ifndef RUN_FRAMES_H
#define RUN_FRAMES_H

#include "../host/detour.h"
#include "run.h"

// Of such unwinders in one process.
enum { FRAMES_MOST_UNWINDERS = 4 };

// An unwinder of the host, which it keeps open from then on, is told of all
// plugins that there are. Does nothing the second time.
e64_status frames_add_unwinder(const struct host_module *module,
                               const struct host_registrar *registrar);

// All such unwinders are told of plugins, which must be known by address.
e64_status frames_add(e64_plugin *const *plugins, uint32_t count);

// And that they go: after they are not known by address any more.
void frames_remove(e64_plugin *const *plugins, uint32_t count);

// The address of a plugin's .eh_frame, from what PT_GNU_EH_FRAME points to,
// when an unwinder can walk it from there to its end without leaving its
// segment; NULL if not. Reads nothing that is not mapped.
const void *frames_of(const e64_plugin *plugin);

#endif
