// An ELF object in memory, glibc's or ours: what a binding can point into.

#ifndef ELF_OBJECT_H
#define ELF_OBJECT_H

#include "symbols.h"

struct elf_object {
    const char *name;   // path of its file
    const char *soname; // DT_SONAME, or NULL
    uintptr_t bias;     // address minus vaddr
    uintptr_t start;    // its lowest address
    uintptr_t end;      // the first address after it
    const struct elf_symbols *symbols;
    uint64_t tls_module; // what DTPMOD64 holds for it; 0 without PT_TLS
    bool host;           // glibc mapped it
};

// The address of one of its symbols (SHN_ABS symbols do not move). For TLS
// symbols the offset within the module's block.
static inline uint64_t elf_symbol_value(const struct elf_object *object,
                                        const Elf64_Sym *symbol)
{
    if (symbol->st_shndx == SHN_ABS
        || ELF64_ST_TYPE(symbol->st_info) == STT_TLS)
        return symbol->st_value;
    return object->bias + symbol->st_value;
}

#endif
