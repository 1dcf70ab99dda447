// The names that plugins get from us although the host defines them.

#ifndef RUN_OVERRIDES_H
#define RUN_OVERRIDES_H

#include <stdint.h>

// What stands in for the host's definition of a name, or NULL. `hash` is its
// elf_gnu_hash.
void *override_find(const char *name, uint32_t hash);

#endif
