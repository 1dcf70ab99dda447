// What the policy has to say to what plugins import and ask dlsym for.

#ifndef RUN_DECIDE_H
#define RUN_DECIDE_H

#include "run.h"

// For link_context; `data` is the discovery. An import that is denied fails,
// one that is intercepted gets its replacement, and for one that nothing
// defines the resolve hook is asked.
e64_status decide_import(void *data, struct link_unit *unit,
                         const e64_import *import,
                         struct link_binding *binding);

// Before a plugin is written to: what those that intercept its imports may
// want to call.
void decide_tell_originals(const e64_plugin *plugin);

// The same for what a plugin's dlsym has found, or not (NULL), outside of it.
// False, and a failure, when it may not have it; *address stays NULL unless
// something else takes its place.
bool decide_lookup(e64_plugin *caller, const char *name, const char *version,
                   const struct lookup_found *found, void **address);
// And for what glibc's dlsym has found, or not.
bool decide_address(e64_plugin *caller, const char *name, const char *version,
                    void *found, void **address);

#endif
