// Many lookups in one object at once.

#ifndef ELF_BATCH_H
#define ELF_BATCH_H

#include "object.h"

enum { ELF_BATCH = 128 }; // at most at once

// A name that is looked for in one object after the other, and what was found.
struct elf_query {
    struct elf_name name;
    enum elf_want want;
    uint32_t index;
    Elf64_Sym symbol;
    const struct elf_object *object; // NULL: not found yet
};

// Those that are still to be found: their hashes and numbers.
struct elf_open {
    uint32_t hash[ELF_BATCH];
    uint8_t query[ELF_BATCH];
    uint32_t count;
};

// Answers those that the object defines, as elf_find does, and takes them off
// the list.
void elf_find_all(const struct elf_object *object, struct elf_query *queries,
                  struct elf_open *open);

#endif
