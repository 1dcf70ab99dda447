// What the file of another architecture is for, in words.

#include "machine.h"

#include <elf.h>
#include <stdio.h>

const char *elf_machine_name(uint16_t machine, char *room, size_t size)
{
    switch (machine) {
    case EM_386: return "i386";
    case EM_X86_64: return "x86-64";
    case EM_ARM: return "ARM";
    case EM_AARCH64: return "AArch64";
    case EM_RISCV: return "RISC-V";
    case EM_PPC: return "PowerPC";
    case EM_PPC64: return "PowerPC64";
    case EM_S390: return "s390";
    case EM_MIPS: return "MIPS";
    case EM_SPARC: return "SPARC";
    case EM_SPARCV9: return "SPARC V9";
    case EM_IA_64: return "Itanium";
    case EM_LOONGARCH: return "LoongArch";
    }
    snprintf(room, size, "machine %u", machine);
    return room;
}
