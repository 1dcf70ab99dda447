// The harness's own reader; see relocations.h.

#include "relocations.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef R_X86_64_RELATIVE64
#define R_X86_64_RELATIVE64 38
#endif
#ifndef DT_RELR
#define DT_RELRSZ 35
#define DT_RELR 36
#define SHT_RELR 19
#endif

static const struct {
    const char *name;
    int width;
} types[] = {
    [R_X86_64_NONE] = { "NONE", 0 },
    [R_X86_64_64] = { "64", 8 },
    [R_X86_64_PC32] = { "PC32", 4 },
    [R_X86_64_PLT32] = { "PLT32", 4 },
    [R_X86_64_GLOB_DAT] = { "GLOB_DAT", 8 },
    [R_X86_64_JUMP_SLOT] = { "JUMP_SLOT", 8 },
    [R_X86_64_RELATIVE] = { "RELATIVE", 8 },
    [R_X86_64_32] = { "32", 4 },
    [R_X86_64_32S] = { "32S", 4 },
    [R_X86_64_16] = { "16", 2 },
    [R_X86_64_PC16] = { "PC16", 2 },
    [R_X86_64_8] = { "8", 1 },
    [R_X86_64_PC8] = { "PC8", 1 },
    [R_X86_64_DTPMOD64] = { "DTPMOD64", 8 },
    [R_X86_64_DTPOFF64] = { "DTPOFF64", 8 },
    [R_X86_64_TPOFF64] = { "TPOFF64", 8 },
    [R_X86_64_DTPOFF32] = { "DTPOFF32", 4 },
    [R_X86_64_TPOFF32] = { "TPOFF32", 4 },
    [R_X86_64_PC64] = { "PC64", 8 },
    [R_X86_64_SIZE32] = { "SIZE32", 4 },
    [R_X86_64_SIZE64] = { "SIZE64", 8 },
    [R_X86_64_TLSDESC] = { "TLSDESC", 16 },
    [R_X86_64_IRELATIVE] = { "IRELATIVE", 8 },
    [R_X86_64_RELATIVE64] = { "RELATIVE64", 8 },
};

int relocation_width(uint32_t type)
{
    if (type == RELOCATION_RELR)
        return 8;
    if (type >= sizeof types / sizeof types[0] || !types[type].name)
        return -1;
    return types[type].width;
}

const char *relocation_name(uint32_t type)
{
    if (type == RELOCATION_RELR)
        return "RELR";
    if (relocation_width(type) < 0)
        return "UNKNOWN";
    return types[type].name;
}

// `size` bytes at a file offset.
static const void *part(const struct elf *elf, uint64_t offset, uint64_t size)
{
    if (offset > elf->size || size > elf->size - offset)
        errx(3, "%s: %lu bytes at %lu lie outside the file", elf->path, size,
             offset);
    return elf->bytes + offset;
}

// `size` bytes at an address of the file's own: what a PT_LOAD puts there.
static const void *at(const struct elf *elf, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];
        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr
            && address - segment->p_vaddr < segment->p_filesz
            && size <= segment->p_filesz - (address - segment->p_vaddr))
            return part(elf, segment->p_offset + address - segment->p_vaddr,
                        size);
    }
    errx(3, "%s: no segment holds %lu bytes at address 0x%lx", elf->path, size,
         address);
}

struct tables {
    uint64_t rela, rela_size;
    uint64_t plt, plt_size;
    uint64_t relr, relr_size;
    uint64_t symbols, strings, strings_size;
};

static void read_dynamic(const struct elf *elf, struct tables *tables)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];
        if (segment->p_type != PT_DYNAMIC)
            continue;
        size_t count = segment->p_filesz / sizeof(Elf64_Dyn);
        const Elf64_Dyn *entry = part(elf, segment->p_offset,
                                      count * sizeof *entry);
        for (; count && entry->d_tag != DT_NULL; count--, entry++) {
            uint64_t value = entry->d_un.d_val;
            switch (entry->d_tag) {
            case DT_RELA: tables->rela = value; break;
            case DT_RELASZ: tables->rela_size = value; break;
            case DT_JMPREL: tables->plt = value; break;
            case DT_PLTRELSZ: tables->plt_size = value; break;
            case DT_RELR: tables->relr = value; break;
            case DT_RELRSZ: tables->relr_size = value; break;
            case DT_SYMTAB: tables->symbols = value; break;
            case DT_STRTAB: tables->strings = value; break;
            case DT_STRSZ: tables->strings_size = value; break;
            }
        }
    }
}

static void append(struct elf *elf, struct relocation relocation)
{
    // Grown in powers of two: every time the count reaches one.
    if ((elf->count & (elf->count - 1)) == 0) {
        size_t room = elf->count ? elf->count * 2 : 1;
        elf->relocations = realloc(elf->relocations, room * sizeof relocation);
        if (!elf->relocations)
            err(3, "%s", elf->path);
    }
    elf->relocations[elf->count++] = relocation;
}

static const char *symbol_name(const struct elf *elf,
                               const struct tables *tables, uint32_t index)
{
    if (index == 0)
        return "";
    const Elf64_Sym *symbol = at(elf, tables->symbols
                                          + index * sizeof *symbol,
                                 sizeof *symbol);
    if (symbol->st_name >= tables->strings_size)
        errx(3, "%s: the name of symbol %u is outside the string table",
             elf->path, index);
    return at(elf, tables->strings + symbol->st_name, 1);
}

static void read_rela(struct elf *elf, const struct tables *tables,
                      uint64_t address, uint64_t size)
{
    size_t count = size / sizeof(Elf64_Rela);
    if (count == 0)
        return;
    const Elf64_Rela *entry = at(elf, address, count * sizeof *entry);
    for (; count; count--, entry++)
        append(elf, (struct relocation){
                        .offset = entry->r_offset,
                        .type = ELF64_R_TYPE(entry->r_info),
                        .addend = entry->r_addend,
                        .index = ELF64_R_SYM(entry->r_info),
                        .symbol = symbol_name(elf, tables,
                                              ELF64_R_SYM(entry->r_info)),
                    });
}

// gABI, "Relative relocations": an even word is the address of a word to
// relocate, an odd one a bitmap of the 63 words that follow.
static void read_relr(struct elf *elf, uint64_t address, uint64_t size)
{
    size_t count = size / 8;
    if (count == 0)
        return;
    const uint64_t *entry = at(elf, address, count * 8);
    uint64_t where = 0;
    for (; count; count--, entry++) {
        if ((*entry & 1) == 0) {
            where = *entry + 8;
            append(elf, (struct relocation){ *entry, RELOCATION_RELR, 0, 0,
                                             "" });
            continue;
        }
        for (int bit = 1; bit < 64; bit++)
            if (*entry >> bit & 1)
                append(elf, (struct relocation){ where + (bit - 1) * 8,
                                                 RELOCATION_RELR, 0, 0, "" });
        where += 63 * 8;
    }
    // The addend is what the file has in the word.
    for (size_t i = 0; i < elf->count; i++) {
        struct relocation *relocation = &elf->relocations[i];
        if (relocation->type == RELOCATION_RELR)
            memcpy(&relocation->addend, at(elf, relocation->offset, 8), 8);
    }
}

// The section headers, which no loader reads, must promise as many entries as
// the dynamic section led to. Files without section headers are taken as they
// are.
static void check_count(const struct elf *elf)
{
    const Elf64_Ehdr *header = (const void *)elf->bytes;
    if (header->e_shoff == 0 || header->e_shnum == 0)
        return;
    const Elf64_Shdr *section = part(elf, header->e_shoff,
                                     header->e_shnum * sizeof *section);
    size_t rela = 0, relr = 0, have = 0;
    for (int i = 0; i < header->e_shnum; i++, section++) {
        if (!(section->sh_flags & SHF_ALLOC))
            continue;
        if (section->sh_type == SHT_RELA)
            rela += section->sh_size / sizeof(Elf64_Rela);
        if (section->sh_type == SHT_RELR) {
            const uint64_t *word = part(elf, section->sh_offset,
                                        section->sh_size);
            for (size_t n = section->sh_size / 8; n; n--, word++)
                relr += *word & 1 ? __builtin_popcountl(*word) - 1 : 1;
        }
    }
    have = elf->count;
    if (have != rela + relr)
        errx(3, "%s: %zu relocations by its dynamic section, %zu by its "
             "sections", elf->path, have, rela + relr);
}

void elf_read(struct elf *elf, const char *path)
{
    memset(elf, 0, sizeof *elf);
    elf->path = path;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        err(3, "%s", path);
    elf->size = status.st_size;
    void *bytes = mmap(NULL, elf->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        err(3, "%s", path);
    close(fd);
    elf->bytes = bytes;
    const Elf64_Ehdr *header = part(elf, 0, sizeof *header);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0
        || header->e_ident[EI_CLASS] != ELFCLASS64
        || header->e_machine != EM_X86_64)
        errx(3, "%s: not an ELF64 file for AMD64", path);
    elf->segment_count = header->e_phnum;
    elf->segments = part(elf, header->e_phoff,
                         header->e_phnum * sizeof *elf->segments);

    struct tables tables = { 0 };
    read_dynamic(elf, &tables);
    // Some linkers count DT_JMPREL into DT_RELASZ, at its end.
    if (tables.plt_size && tables.plt >= tables.rela
        && tables.plt < tables.rela + tables.rela_size)
        tables.rela_size = tables.plt - tables.rela;
    read_rela(elf, &tables, tables.rela, tables.rela_size);
    read_rela(elf, &tables, tables.plt, tables.plt_size);
    read_relr(elf, tables.relr, tables.relr_size);
    check_count(elf);
}

void elf_free(struct elf *elf)
{
    munmap((void *)elf->bytes, elf->size);
    free(elf->relocations);
    memset(elf, 0, sizeof *elf);
}
