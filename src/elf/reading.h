// What the readers of an object file's parts share while they read it.

#ifndef ELF_READING_H
#define ELF_READING_H

#include "relocatable.h"

struct reading {
    struct elf_relocatable *object;
    const char *name;
    struct view headers; // the section header table
    struct view names;   // of sections
    uint64_t room;       // bytes of the file that no section has claimed yet
    uint64_t text;       // bytes that names may still have: see reading_count
    uint32_t symtab;     // index of the SHT_SYMTAB; 0: there is none
};

// An address, a size or an alignment beyond this is none.
#define READING_SPACE (1ull << 47)

// As many times the file's bytes all names may have together, and more of a
// small file. Compilers' have twice the bytes at most.
enum { READING_NAMES = 8, READING_MORE_NAMES = 1 << 16 };

#define READING_LONG_NAMES(field) \
    field ": strings lie on one another, and all names together have more " \
    "than eight times the file's bytes"

// For messages about one section.
e64_status reading_bad(const struct reading *reading, uint32_t section,
                       const char *what);

// A string table, which ends with a NUL, so that each of its offsets is a
// string.
e64_status reading_strings(const struct reading *reading, uint32_t section,
                           struct view *strings);

// Counts a name that was read; false when all names together have too many
// bytes. Names may be ends of one another, and symbols may share one; but as
// many as a file can name so, as long as they can be, would cost the square of
// its size.
bool reading_count(struct reading *reading, const char *name);

// The symbol table, once all sections are known.
e64_status reading_symbols(struct reading *reading);

// Relocations and groups, once all symbols are known.
e64_status reading_references(struct reading *reading);

// Is it an alignment, 0 for none?
static inline bool reading_can_align(uint64_t value)
{
    return (value & (value - 1)) == 0 && value < 1ull << 32;
}

#endif
