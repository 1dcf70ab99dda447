// Program properties (psABI "Program Property"): what the file demands of the
// processor.

#ifndef ELF_NOTES_H
#define ELF_NOTES_H

#include "view.h"

// Looks through a PT_NOTE or PT_GNU_PROPERTY segment for
// GNU_PROPERTY_X86_ISA_1_NEEDED and adds its bits to *levels. A note that is
// cut short is passed over, as ld.so does.
void elf_read_isa_levels(struct view notes, uint64_t align, uint32_t *levels);

// Which of the levels (GNU_PROPERTY_X86_ISA_1_*) the processor lacks.
uint32_t elf_isa_lacking_x86_64(uint32_t levels);

#endif
