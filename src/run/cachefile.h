// The file /etc/ld.so.cache: read once, and again when it has changed.

#ifndef RUN_CACHEFILE_H
#define RUN_CACHEFILE_H

#include <stdbool.h>

#include "../elf64load.h"
#include "ldso.h"

// Calls `use` with the bytes of the cache as it is now. They stay only until
// `use` returns, which must not look into the cache itself. One that is not
// there, or may not be read, is an empty one; E64_SYSTEM or E64_NOMEMORY, and
// no call, when reading it fails. `looked`, unless NULL, becomes true, and if
// it was, the bytes may be as they were then.
e64_status cachefile_use(const struct ldso *ldso, bool *looked,
                         void (*use)(void *data, struct view cache),
                         void *data);

#endif
