// The pool: space in every thread's static TLS block for plugins that need
// theirs at a fixed offset from the thread pointer. It begins with a mark of
// eight bytes, by which a thread is known to have one.

#ifndef TLS_POOL_H
#define TLS_POOL_H

#include <stdbool.h>

#include "../elf64load.h"

extern const unsigned long e64_tls_pool_size;

#define POOL_MARK "e64 tls"
enum { POOL_MARK_SIZE = 8 };

// Offset of the pool from the thread pointer: the same in every thread.
int64_t pool_tp_offset_x86_64(void);
// Offset of the pool within the TLS segment of the object that we are part of.
uint64_t pool_segment_offset_x86_64(void);
// This thread's thread pointer.
char *pool_thread_pointer_x86_64(void);

// Takes a range whose start is `skew` modulo `align`, counted as an address.
// `used` says that another module had it before: it is not zero in every
// thread. E64_NOMEMORY with what is needed, what is left, and the remedy;
// `name` is who wants it.
e64_status pool_take(const char *name, uint64_t size, uint64_t align,
                     uint64_t skew, uint64_t *offset, bool *used);
void pool_give_back(uint64_t offset, uint64_t size);

#endif
