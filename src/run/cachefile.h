// The file /etc/ld.so.cache: read once, and again when it has changed.

#ifndef RUN_CACHEFILE_H
#define RUN_CACHEFILE_H

#include "ldso.h"

// Calls `use` with the bytes of the cache as it is now. They stay only until
// `use` returns, which must not look into the cache itself. A file that cannot
// be read is an empty one.
void cachefile_use(const struct ldso *ldso,
                   void (*use)(void *data, struct view cache), void *data);

#endif
