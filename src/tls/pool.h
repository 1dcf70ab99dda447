// The pool: space in every thread's static TLS block for plugins that need
// theirs at a fixed offset from the thread pointer. It begins with a mark of
// eight bytes, by which a thread is known to have one. When it is exhausted,
// glibc is asked for another area of the kind.

#ifndef TLS_POOL_H
#define TLS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "../elf64load.h"

#define POOL_MARK "e64 tls"
enum { POOL_MARK_SIZE = 8 };

// Offset of the pool from the thread pointer: the same in every thread.
int64_t pool_tp_offset_x86_64(void);
// Offset of the pool within the TLS segment of the object that we are part of.
uint64_t pool_segment_offset_x86_64(void);
// This thread's thread pointer.
char *pool_thread_pointer_x86_64(void);

// The pool or another area. It is never given up.
struct pool_area {
    struct pool_area *next;
    int64_t tp_offset;
    uint64_t size;
    char *image; // what new threads' begins as; NULL for the pool itself
    // For pool.c: what is handed out, ascending, and from where on it was never
    // in use.
    struct pool_range *taken;
    uint32_t count, room;
    uint64_t touched;
    // For threads.c, which writes to all threads: the next area that it knows,
    // and how much of this one it has written.
    struct pool_area *known;
    bool is_known;
    uint64_t written;
};

struct pool_place {
    struct pool_area *area;
    uint64_t offset, size;
    bool used; // another module had it before: it is not zero in every thread
};

// Takes a range that is placed, counted as an address, as the image wants it.
// E64_NOMEMORY with what is needed, what is left, and the remedy; `name` is who
// wants it. `zero`: the image is all zero. `type` is the relocation type that
// asks for an offset from the thread pointer. glibc may be called.
struct tls_image;
e64_status pool_take(const char *name, const struct tls_image *image, bool zero,
                     uint32_t type, struct pool_place *place);

// `clean`: nothing was written to it.
void pool_give_back(const struct pool_place *place, bool clean);

// Of all areas: bytes that are handed out, that were never in use, and the
// largest piece that is free.
struct pool_space {
    uint64_t taken, fresh, largest;
};
void pool_measure(struct pool_space *space);

void pool_before_fork(void);
void pool_after_fork(bool child);

#endif
