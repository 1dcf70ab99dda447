// What is defined at an address.

#ifndef RUN_NEAREST_H
#define RUN_NEAREST_H

#include "run.h"

struct nearest {
    const struct elf_symbols *symbols; // that have it
    uint32_t index;
    Elf64_Sym symbol;
};

// The symbol that others may bind to, or of a plugin that is made of objects
// also one that nothing exports, with the highest vaddr of those that reach the
// one that is given; false when there is none. A symbol without a size has its
// own place alone or, when they are `open`, reaches to the next. Takes no lock.
bool nearest_symbol(const struct elf_object *object, uint64_t vaddr, bool open,
                    struct nearest *nearest);

#endif
