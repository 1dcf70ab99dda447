// The threads that glibc has made, by their thread pointers, kept so that what
// a plugin's thread-local variables begin as can be written to each: to those
// that exist, to those that are being created, to those that come later.

#ifndef TLS_THREADS_H
#define TLS_THREADS_H

#include <stdbool.h>
#include <stddef.h>

#include "../elf64load.h"
#include "../host/internals.h"
#include "pool.h"

// Writes what a module begins as to its place in every thread: `filled` bytes
// from `image`, then zeros. The first call learns which threads there are.
// Until it returns nothing of the module may run. Fails as E64_UNSUPPORTED when
// that cannot be done safely; `name` is for the message. *written tells whether
// anything was written, which may be so although it fails.
e64_status threads_publish(const char *name, const struct pool_place *place,
                           const void *image, uint64_t filled, bool *written);

void threads_before_fork(void);
void threads_after_fork(bool child);

// For adopt_x86_64.c: all with the registry's lock held by threads_lock, which
// is held briefly and never while anything else is called.
void threads_lock(void);
void threads_unlock(void);
// Takes over a thread that has told its thread pointer, unless it has ended
// since adopting began. False when there is no memory for one more.
bool threads_adopt(char *thread_pointer);
// Copies the identifiers of the known threads; gives how many there are.
size_t threads_list(int *tids, size_t room);

// Finds all threads that run, and adopts them.
e64_status threads_find_x86_64(const struct host_threads *threads);

#endif
