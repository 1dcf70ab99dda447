// One ET_REL file, read and checked: its sections, symbols, relocations and
// groups, as views of the file. What is checked here need not be checked by
// those who link it; what is not, is said below.

#ifndef ELF_RELOCATABLE_H
#define ELF_RELOCATABLE_H

#include "../elf64load.h"
#include "view.h"

// Where a symbol is, when that is no section. A file may have a section 0xfff1,
// so these are no st_shndx.
enum {
    ELF_IN_NONE = 0,             // SHN_UNDEF
    ELF_IN_ABS = 0xfffffff1,     // SHN_ABS: its value does not move
    ELF_IN_COMMON = 0xfffffff2,  // SHN_COMMON: its value is its alignment, 0 or
                                 // a power of two below 2^32; never local
};

// A section (gABI "Sections"). sh_addr means nothing in an object file.
struct elf_section {
    const char *name;  // in the file; "" for one without
    struct view bytes; // none of an SHT_NOBITS
    struct view rela;  // its relocations, of the SHT_RELA that names it; none
    uint64_t flags;    // SHF_*
    uint64_t size;     // of what it takes in memory, below 2^47
    uint64_t align;    // a power of two below 2^32, at least 1
    uint64_t entsize;  // not checked, but for the tables that are read here
    uint32_t type;     // SHT_*
    uint32_t link;     // checked only of the tables that are read here and of
    uint32_t info;     // SHF_LINK_ORDER, whose link is a section or 0
    uint32_t group;    // the number of its group plus one; 0: in none
};

// A section group (gABI "Section Groups"): its members stay or go together.
struct elf_group {
    const char *signature; // in the file
    struct view members;   // see elf_group_member
    uint32_t count;        // of members
    uint32_t section;      // the SHT_GROUP itself
    bool comdat;           // GRP_COMDAT: only one of a signature stays
};

struct elf_relocatable {
    struct view file;
    struct elf_section *sections; // by index; the first is the null section
    struct elf_group *groups;     // in file order
    uint32_t section_count;
    uint32_t group_count;

    uint32_t symbol_count; // with the null symbol; 0 without a symbol table
    uint32_t local_count;  // those below it are STB_LOCAL, no others are
    struct view symtab;
    struct view strtab; // its last byte is NUL, or it is empty
    struct view shndx;  // SHT_SYMTAB_SHNDX, or empty
};

// A symbol. Its value is an offset in its section that may lie outside of it,
// as `.set end, start + 100` does.
struct elf_symbol {
    const char *name; // in the file; "" for one without, as STT_SECTION has it
    uint64_t value;
    uint64_t size;    // not checked, but below 2^47 for what is common
    uint32_t section; // an index of one that is there, or ELF_IN_*
    uint8_t binding;  // STB_*
    uint8_t type;     // STT_*
    uint8_t visibility; // STV_*
};

// Is it an object file by its header, or what a compiler writes in place of one
// (LLVM bitcode), which elf_relocatable_read refuses with the reason?
bool elf_is_relocatable(struct view file);

// Reads and checks a file. E64_BADFORMAT, E64_BADARCH or E64_UNSUPPORTED with
// the name of the field that is wrong, or E64_NOMEMORY. `name` is for messages:
// "a.o", "libx.a(a.o)". Nothing is copied: the views and strings live as long
// as the file's bytes. What it allocates is no more than a small multiple of
// the file, and the bytes of all sections together are no more than the file.
e64_status elf_relocatable_read(struct view file, const char *name,
                                struct elf_relocatable *object);

// A zeroed struct may be freed.
void elf_relocatable_free(struct elf_relocatable *object);

// The symbol of an index below symbol_count, as every relocation's and group's
// is known to be.
static inline struct elf_symbol
elf_relocatable_symbol(const struct elf_relocatable *object, uint32_t index)
{
    Elf64_Sym symbol;
    memcpy(&symbol, object->symtab.data + (uint64_t)index * sizeof symbol,
           sizeof symbol);
    uint32_t section = symbol.st_shndx;
    if (section == SHN_XINDEX)
        section = load32(object->shndx.data + 4 * (uint64_t)index);
    else if (section >= SHN_LORESERVE)
        section = section == SHN_ABS ? ELF_IN_ABS : ELF_IN_COMMON;
    return (struct elf_symbol){
        .name = symbol.st_name ? (const char *)object->strtab.data
                                 + symbol.st_name : "",
        .value = symbol.st_value,
        .size = symbol.st_size,
        .section = section,
        .binding = ELF64_ST_BIND(symbol.st_info),
        .type = ELF64_ST_TYPE(symbol.st_info),
        .visibility = ELF64_ST_VISIBILITY(symbol.st_other),
    };
}

static inline uint32_t elf_rela_count(const struct elf_section *section)
{
    return (uint32_t)(section->rela.size / sizeof(Elf64_Rela));
}

// A relocation of a section, by a number below elf_rela_count. Its symbol is
// below symbol_count (0: none) and its r_offset at most the section's size (of
// SHF_COMPRESSED, which no memory has, the size of what is unpacked); whether
// the word that it changes ends inside of the section is to be checked by those
// who know its type. An SHT_NOBITS has none.
static inline Elf64_Rela elf_rela(const struct elf_section *section,
                                  uint32_t number)
{
    Elf64_Rela rela;
    memcpy(&rela, section->rela.data + (uint64_t)number * sizeof rela,
           sizeof rela);
    return rela;
}

// The section index of a group's member, by a number below its count. Each is
// of a section that is there and is no group, in no other group.
static inline uint32_t elf_group_member(const struct elf_group *group,
                                        uint32_t number)
{
    return load32(group->members.data + 4 * (uint64_t)number);
}

#endif
