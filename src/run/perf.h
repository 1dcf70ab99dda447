// Tells perf of functions.

#ifndef RUN_PERF_H
#define RUN_PERF_H

#include "run.h"

// Is its file none that perf could read the names of functions from?
bool perf_cannot_read(const e64_plugin *plugin);
// Adds the functions of such a plugin to the process's map file. Does nothing
// for others.
e64_status perf_tell(const e64_plugin *plugin);

#endif
