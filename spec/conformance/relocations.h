// All relocations of one ELF file, read from the file by a reader of the
// harness's own, so that an error in the loader's reader cannot hide itself.

#ifndef RELOCATIONS_H
#define RELOCATIONS_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Not a type of the psABI: a word of DT_RELR, whose addend is in the word.
#define RELOCATION_RELR 0x10000u

struct relocation {
    uint64_t offset;
    uint32_t type;
    int64_t addend;
    uint32_t index;     // of the symbol in DT_SYMTAB; 0 for none
    const char *symbol; // "" for none
};

struct elf {
    const char *path;
    const uint8_t *bytes;
    size_t size;
    const Elf64_Phdr *segments;
    size_t segment_count;
    struct relocation *relocations;
    size_t count;
};

// Reads the file, or ends the process with a message: what is compared was
// loaded by ld.so before, so that a file that cannot be read is no result.
void elf_read(struct elf *elf, const char *path);

void elf_free(struct elf *elf);

// How many bytes a relocation of that type writes; 0 for R_X86_64_NONE, -1 for
// a type that the harness does not know.
int relocation_width(uint32_t type);

// The name of a type without "R_X86_64_".
const char *relocation_name(uint32_t type);

#endif
