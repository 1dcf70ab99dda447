// Reads the ELF header (gABI chapter 4, "ELF Header"), and what it leads to of
// the program headers ("Program Header").

#include "header.h"

#include <stdarg.h>
#include <stdio.h>

#include "../error.h"
#include "machine.h"

e64_status elf_refuse(e64_status status, const char *name, const char *format,
                      ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    fail(status, "%s: %s", name, what);
    error_path(name);
    return status;
}

static e64_status check_identity(struct view file, const char *name)
{
    const char *not_elf = "invalid filetype, only ELF64 supported";
    if (!view_has(file, 0, SELFMAG)
        || memcmp(file.data, ELFMAG, SELFMAG) != 0)
        return elf_refuse(E64_BADFORMAT, name, "%s (e_ident holds no ELF "
                          "magic)", not_elf);
    if (!view_has(file, 0, EI_NIDENT))
        return elf_refuse(E64_BADFORMAT, name, "%s (the file ends within "
                          "e_ident)", not_elf);
    if (file.data[EI_CLASS] != ELFCLASS64)
        return elf_refuse(E64_BADFORMAT, name, "%s (EI_CLASS is %u, %s)",
                          not_elf, file.data[EI_CLASS],
                          file.data[EI_CLASS] == ELFCLASS32
                          ? "a 32-bit file" : "no known class");
    if (file.data[EI_DATA] != ELFDATA2LSB)
        return elf_refuse(E64_BADARCH, name, "invalid architecture, only AMD64 "
                          "supported (EI_DATA is %u, not little-endian)",
                          file.data[EI_DATA]);
    if (file.data[EI_VERSION] != EV_CURRENT)
        return elf_refuse(E64_BADFORMAT, name, "EI_VERSION is %u, not 1",
                          file.data[EI_VERSION]);
    return E64_OK;
}

e64_status elf_header_read(struct view file, const char *name,
                           Elf64_Ehdr *header)
{
    char room[32];
    e64_status status = check_identity(file, name);
    if (status != E64_OK)
        return status;
    if (!view_read(file, 0, header, sizeof *header))
        return elf_refuse(E64_BADFORMAT, name,
                          "the file ends within the ELF header");
    if (header->e_machine != EM_X86_64)
        return elf_refuse(E64_BADARCH, name, "invalid architecture, only AMD64 "
                          "supported (e_machine is %u, %s)", header->e_machine,
                          elf_machine_name(header->e_machine, room,
                                           sizeof room));
    unsigned char abi = header->e_ident[EI_OSABI];
    if (abi != ELFOSABI_SYSV && abi != ELFOSABI_GNU)
        return elf_refuse(E64_UNSUPPORTED, name, "EI_OSABI is %u; only System "
                          "V (0) and GNU (3) are supported", abi);
    if (header->e_version != EV_CURRENT)
        return elf_refuse(E64_BADFORMAT, name, "e_version is not 1");
    return E64_OK;
}

uint64_t elf_header_span(struct view beginning)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint64_t start = UINT64_MAX, end = 0;
    if (!view_read(beginning, 0, &header, sizeof header))
        return 0;
    for (uint32_t i = 0; i < header.e_phnum; i++) {
        if (header.e_phoff > beginning.size
            || !view_read(beginning, header.e_phoff + i * sizeof segment,
                          &segment, sizeof segment))
            return 0;
        if (segment.p_type != PT_LOAD)
            continue;
        if (segment.p_vaddr < start)
            start = segment.p_vaddr;
        end = segment.p_vaddr + segment.p_memsz;
    }
    return end > start ? end - start : 0;
}

const char *elf_type_name(uint16_t type)
{
    switch (type) {
    case ET_REL: return "an object file (ET_REL)";
    case ET_EXEC: return "an executable (ET_EXEC)";
    case ET_DYN: return "a shared object (ET_DYN)";
    case ET_CORE: return "a core dump (ET_CORE)";
    }
    return "of no known e_type";
}
