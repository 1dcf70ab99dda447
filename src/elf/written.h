// Shared objects that are written instead of read: a table of definitions
// becomes one, so that all who look names up find them like any others.

#ifndef ELF_WRITTEN_H
#define ELF_WRITTEN_H

#include "../elf64load.h"

// A name and its address, which does not move (SHN_ABS).
struct elf_written {
    const char *name;
    const char *version; // NULL: none, which is as good as any
    uint64_t address;
    uint64_t size;
    e64_kind kind; // a function, an object, or neither
};

// The bytes of an ELF file that defines these names, in memory that is to be
// unmapped (mapping_drop).
e64_status elf_write(const struct elf_written *definitions, uint32_t count,
                     const char *soname, void **bytes, size_t *size);

#endif
