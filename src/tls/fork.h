// What fork does to this room.

#ifndef TLS_FORK_H
#define TLS_FORK_H

#include <stdbool.h>

// Sets the handlers, once. False when there is no memory for it.
bool fork_watch(void);

#endif
