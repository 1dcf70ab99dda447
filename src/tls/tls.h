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

// Gives an image a module number, which is never one of glibc's. `name` is who
// wants it.
e64_status tls_module_new(const struct tls_image *image, const char *name,
                          uint64_t *module);

// Gives the module a place in the pool, the same in every thread, which must
// come before its first use: E64_UNSUPPORTED after it. E64_NOMEMORY when the
// pool is exhausted. `name` is who wants it, `type` the relocation type that
// asks for an offset from the thread pointer. glibc may be called.
e64_status tls_module_place(uint64_t module, uint32_t type, const char *name);

// Its offset from the thread pointer; 0 when it has no place in the pool.
int64_t tls_module_tp_offset(uint64_t module);

// The module's image is relocated now: writes it to all threads if the module
// has been placed. Does nothing the second time.
e64_status tls_module_publish(uint64_t module, const char *name);

// From here on its variables may be written to.
void tls_module_use(uint64_t module);

// Frees the blocks that any thread has of it, and the number. No thread may use
// the module any more. 0 is ignored.
void tls_module_free(uint64_t module);

// What plugins' imports of __tls_get_addr are bound to. Numbers that are not
// ours go on to glibc's. Aborts when there is no memory for a block, as glibc
// does: there is no way to tell the caller.
void *tls_get_addr(struct tls_index *index);

// Makes the calling thread's block of a module unless it has one: false when
// there is no memory for it. Afterwards tls_get_addr cannot fail.
bool tls_make_block(uint64_t module);

// Its block of the module, or NULL when it has none yet. Makes nothing.
void *tls_find_block(uint64_t module);

// tls_get_addr, for imports that come after the first module: see
// access_x86_64.c.
void *tls_get_addr_entry(void);

// TLS descriptors (A. Oliva, "Thread-Local Storage Descriptors for x86"): a
// pair of words, a function and its argument. Called with the address of the
// pair in rax, the function answers the variable's offset from the thread
// pointer there and preserves all other registers.

// To be called before what saves all registers as descriptors do, by
// tls_descriptor_save (0: fxsave, 1: xsave, 2: xsavec) in tls_descriptor_size
// bytes, with the mask 0xef. It asks the processor, which takes a virtual
// machine some 0.1 ms, the first time.
void tls_descriptor_prepare(void);

// The offset is the same in every thread.
void tls_descriptor_static(int64_t offset, uint64_t pair[2]);

// For weak symbols that nothing defines: in sum with the thread pointer what is
// answered is the addend.
void tls_descriptor_undefined(int64_t addend, uint64_t pair[2]);

// What a dynamic descriptor needs to find a block without a call.
struct tls_descriptor {
    uint64_t block; // where in a thread's table the module's is, in bytes
    struct tls_index index;
};

// A variable of a module, one of glibc's too. The pair refers to *descriptor.
void tls_descriptor_dynamic(struct tls_descriptor *descriptor, uint64_t module,
                            uint64_t offset, uint64_t pair[2]);

// Code of this room that lies in no file, and its PT_GNU_EH_FRAME.
struct tls_range {
    uintptr_t start, end;
    const void *frames;
};

// Whether an address lies in it. Takes no lock.
bool tls_access_range(uintptr_t address, struct tls_range *range);

#endif
