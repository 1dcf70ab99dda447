// What the file of another architecture is for, in words.

#ifndef ELF_MACHINE_H
#define ELF_MACHINE_H

#include <stddef.h>
#include <stdint.h>

// "AArch64" for EM_AARCH64; "machine 4711" for what has no name here, written
// to `room`.
const char *elf_machine_name(uint16_t machine, char *room, size_t size);

#endif
