// The side of the loader under test.

#ifndef OURS_H
#define OURS_H

#include "objects.h"

// Opens and starts a library, or ends the process with the loader's message.
// With `lazy` its calls are left to be bound when they are made.
void ours_open(const char *path, bool lazy);

// Binds what waits for its first call, as that call would, in all that was
// opened so.
void ours_bind_calls(void);

// Adds to `process` what the loader has mapped. What the loader says of it is
// checked against what the kernel shows; a contradiction is printed as a line
// "wrong \t MESSAGE".
void ours_find(struct process *process, FILE *out);

// `__tls_get_addr` as the plugin at `path` imports it.
void *(*ours_tls_address(const char *path))(uint64_t, uint64_t);

#endif
