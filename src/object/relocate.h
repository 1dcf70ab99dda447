// One relocation while it is looked at: between relocate.c, which goes through
// them, and relocate_x86_64.c, which knows what they mean.

#ifndef OBJECT_RELOCATE_H
#define OBJECT_RELOCATE_H

#include "editor.h"

// Where what a relocation refers to is.
enum where {
    WHERE_IMAGE,   // in the image: S is a vaddr
    WHERE_FIXED,   // at an address that does not move: S
    WHERE_IMPORT,  // in another object
    WHERE_STORAGE, // thread-local, of the image: S is the offset in its block
};

// What a word can hold.
enum fit {
    FIT_64,
    FIT_UNSIGNED_32,
    FIT_SIGNED_32,
    FIT_16, // signed or not
    FIT_SIGNED_16,
    FIT_8,
    FIT_SIGNED_8,
};

struct relocating {
    struct edit *edit;
    struct unit *unit;
    const struct elf_section *section;
    struct piece *piece;
    uint32_t number;      // of the section
    const uint8_t *input; // the section's bytes in the object
    uint8_t *output;      // and in the image, when they are written
    bool writing;

    uint32_t type;
    uint32_t index;  // of the symbol in the object
    uint64_t offset; // of the word in the section
    struct symbol *symbol; // NULL: a local one that needs no slot
    enum where where;
    bool ifunc;
    uint64_t A, P, S, Z; // the psABI's letters; P, S are 0 before the layout
};

// relocate.c

// Fails for the relocation at hand.
e64_status relocation_bad(const struct relocating *now, e64_status status,
                          const char *what);
// Writes a word, when words are written and it holds the value.
e64_status relocation_put(struct relocating *now, uint64_t value, enum fit fit);
// Leaves the word to a relocation of the image, for the symbol or for none.
e64_status relocation_dynamic(struct relocating *now, uint32_t type,
                              bool symbol, uint64_t addend);

// relocate_x86_64.c

e64_status relocation_do(struct relocating *now);
const char *edit_type_name(uint32_t type);
// How many bytes a relocation changes.
uint32_t edit_type_width(uint32_t type);
bool relocation_is_none(uint32_t type);
// Is it a base address plus addend?
bool relocation_is_relative(uint32_t type);
// Is it a word of an instruction that may be too narrow?
bool relocation_is_far(uint32_t type);

#endif
