// What the machine's relocation types mean (psABI 4.4, "Relocation"). Only
// reloc_x86_64.c names them.

#ifndef LINK_RELOC_H
#define LINK_RELOC_H

#include "link.h"

enum reloc_kind {
    RELOC_NONE,
    RELOC_RELATIVE,    // B + A
    RELOC_SYMBOL,      // needs S: any definition will do
    RELOC_SIZE,        // needs Z: of any definition
    RELOC_JUMP,        // needs S: a definition that is no PLT entry
    RELOC_TLS,         // needs a symbol's module or offset
    RELOC_IRELATIVE,   // a resolver at B + A
    RELOC_COPY,        // for executables only
    RELOC_STATIC_TLS,  // an offset from the thread pointer
    RELOC_DESCRIPTOR,  // a TLS descriptor
    RELOC_UNKNOWN,
};

enum reloc_kind reloc_kind(uint32_t type);

// The types that most relocations with a symbol are of: a word of 64 bits that
// becomes S + A, or S.
struct reloc_word {
    bool plain;
    bool adds;  // A
    bool jumps; // needs a definition that is no PLT entry
};
extern const struct reloc_word reloc_words[LINK_TYPES];

// Only code that was not made for shared objects has it: what holds it is taken
// from the link editor alone.
bool reloc_is_for_objects(uint32_t type);

// How a word of 32 bits in code refers to an address, if an instruction that
// reaches further may stand for the one that has it.
enum reloc_reach { REACH_NONE, REACH_RELATIVE, REACH_ABSOLUTE };
enum reloc_reach reloc_reach(uint32_t type);

// The type whose formula is that of DT_RELR's words.
extern const uint32_t reloc_relative;

// The name of a type, "R_X86_64_64", or "of unknown type".
const char *reloc_name(uint32_t type);

// How many bytes the relocation writes.
uint32_t reloc_width(uint32_t type);

// What the formulas are made of, by the letters of the psABI.
struct reloc_values {
    uint64_t A; // addend
    uint64_t B; // load bias
    uint64_t P; // place
    uint64_t S; // symbol
    uint64_t Z; // size of the symbol
    uint64_t module; // DTPMOD64 of the symbol's definer
    int64_t block;   // offset of its block from the thread pointer
};

// Writes one relocation to its place. False when the value does not fit.
bool reloc_apply(uint32_t type, const struct reloc_values *values);

#endif
