// The ELF header: what all files that are read have in common.

#ifndef ELF_HEADER_H
#define ELF_HEADER_H

#include "../elf64load.h"
#include "view.h"

// Reads the ELF header and checks that the file is ELF64 for this machine:
// E64_BADFORMAT, E64_BADARCH or E64_UNSUPPORTED with the name of the field.
// What e_type is, and the tables that follow from it, are left to the caller.
e64_status elf_header_read(struct view file, const char *name,
                           Elf64_Ehdr *header);

// How far an image reaches behind its first byte in memory, by what its file
// begins with; 0 where that does not say. Nothing is checked.
uint64_t elf_header_span(struct view beginning);

// "an object file (ET_REL)", for a message that refuses it.
const char *elf_type_name(uint16_t type);

// Fails about a file: the path is its name.
e64_status elf_refuse(e64_status status, const char *name, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

#endif
