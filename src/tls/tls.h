// Thread-local storage of plugins (ELF Handling for Thread-Local Storage,
// x86-64): general and local dynamic, through an own __tls_get_addr.

#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>

#include "../elf64load.h"

// The argument of __tls_get_addr: two adjacent GOT slots.
struct tls_index {
    uint64_t module; // DTPMOD64
    uint64_t offset; // DTPOFF64
};

// What a thread's block begins as.
struct tls_image {
    const void *bytes; // relocated by the time of the first access
    uint64_t filled;   // p_filesz
    uint64_t size;     // p_memsz
    uint64_t align;    // p_align, a power of two
    uint64_t skew;     // p_vaddr modulo p_align
};

// Gives an image a module number, which is never one of glibc's.
e64_status tls_module_new(const struct tls_image *image, uint64_t *module);

// Frees the blocks that any thread has of it, and the number. No thread may use
// the module any more. 0 is ignored.
void tls_module_free(uint64_t module);

// What plugins' imports of __tls_get_addr are bound to. Numbers that are not
// ours go on to glibc's. Aborts when there is no memory for a block, as glibc
// does: there is no way to tell the caller.
void *tls_get_addr(struct tls_index *index);

#endif
