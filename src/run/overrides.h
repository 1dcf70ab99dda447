// The names that plugins get from us although the host defines them.

#ifndef RUN_OVERRIDES_H
#define RUN_OVERRIDES_H

// What stands in for the host's definition of a name, or NULL.
void *override_find(const char *name);

#endif
