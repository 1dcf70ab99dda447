// Notes (gABI "Note Section"), among them program properties (psABI "Program
// Property"): what the file demands of the processor.

#ifndef ELF_NOTES_H
#define ELF_NOTES_H

#include <elf.h>

#include "view.h"

// Calls `visit` with each note of a PT_NOTE or PT_GNU_PROPERTY segment, until
// it answers false. `name` has n_namesz bytes. A note that is cut short ends
// it,
// as in ld.so.
void elf_notes_each(struct view notes, uint64_t align,
                    bool (*visit)(void *data, const Elf64_Nhdr *note,
                                  const uint8_t *name,
                                  struct view description),
                    void *data);

// Looks through such a segment for GNU_PROPERTY_X86_ISA_1_NEEDED and adds its
// bits to *levels.
void elf_read_isa_levels(struct view notes, uint64_t align, uint32_t *levels);

// Which of the levels (GNU_PROPERTY_X86_ISA_1_*) the processor lacks.
uint32_t elf_isa_lacking_x86_64(uint32_t levels);

// The name of the first of them: "x86-64-v3".
const char *elf_isa_name_x86_64(uint32_t lacking);

#endif
