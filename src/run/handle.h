// What plugins and debuggers see of a plugin.

#ifndef RUN_HANDLE_H
#define RUN_HANDLE_H

#include "run.h"

// Fills the link_map that a plugin's record begins with. It must be mapped.
void handle_fill(e64_plugin *plugin);

// The plugin that a handle of dlopen stands for; NULL when it is glibc's. It
// must be one or the other, and open: as for glibc, there is no way to tell.
e64_plugin *handle_plugin(void *handle);

#endif
