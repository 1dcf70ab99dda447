// The ELF header, the program headers and the dynamic section.

#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

enum { MOST_SEGMENTS = 11, MOST_DYNAMIC = 24 };

uint64_t edit_headers_size(void)
{
    return sizeof(Elf64_Ehdr) + MOST_SEGMENTS * sizeof(Elf64_Phdr);
}

uint64_t edit_dynamic_size(void)
{
    return MOST_DYNAMIC * sizeof(Elf64_Dyn);
}

struct headers {
    struct edit *edit;
    Elf64_Phdr *segments;
    uint32_t count;
    Elf64_Dyn *entries;
    uint32_t entry_count;
};

static void add_segment(struct headers *headers, uint32_t type,
                        uint32_t flags, uint64_t start, uint64_t filesz,
                        uint64_t memsz, uint64_t align)
{
    headers->segments[headers->count++] = (Elf64_Phdr){
        .p_type = type, .p_flags = flags, .p_offset = start, .p_vaddr = start,
        .p_paddr = start, .p_filesz = filesz, .p_memsz = memsz,
        .p_align = align,
    };
}

static uint64_t end_of(const struct edit *edit, enum chunk chunk)
{
    return edit->chunks[chunk].vaddr + edit->chunks[chunk].size;
}

// A chunk of its own.
static void add_chunk(struct headers *headers, uint32_t type, uint32_t flags,
                      enum chunk chunk)
{
    const struct chunk_range *range = &headers->edit->chunks[chunk];
    if (range->size)
        add_segment(headers, type, flags, range->vaddr, range->size,
                    range->size, range->align);
}

static uint64_t align_of(const struct edit *edit, enum chunk chunk,
                         enum chunk end)
{
    uint64_t align = (uint64_t)sysconf(_SC_PAGESIZE);
    for (; chunk < end; chunk++)
        if (edit->chunks[chunk].align > align)
            align = edit->chunks[chunk].align;
    return align;
}

static void add_loads(struct headers *headers)
{
    const struct edit *edit = headers->edit;
    uint64_t code = edit->chunks[FIRST_OF_CODE].vaddr;
    uint64_t relro = edit->chunks[FIRST_OF_RELRO].vaddr;
    uint64_t size = end_of(edit, FIRST_OF_CODE - 1);
    add_segment(headers, PT_LOAD, PF_R, 0, size, size,
                align_of(edit, CHUNK_HEADERS, FIRST_OF_CODE));
    size = end_of(edit, FIRST_OF_RELRO - 1) - code;
    add_segment(headers, PT_LOAD, PF_R | PF_X, code, size, size,
                align_of(edit, FIRST_OF_CODE, FIRST_OF_RELRO));
    add_segment(headers, PT_LOAD, PF_R | PF_W, relro,
                edit->loaded_size - relro, end_of(edit, CHUNKS - 1) - relro,
                align_of(edit, FIRST_OF_RELRO, CHUNKS));
}

static void add_segments(struct headers *headers)
{
    const struct edit *edit = headers->edit;
    uint64_t relro = edit->chunks[FIRST_OF_RELRO].vaddr;
    uint64_t sealed = edit->chunks[FIRST_OF_DATA].vaddr - relro;
    add_loads(headers);
    add_chunk(headers, PT_DYNAMIC, PF_R | PF_W, CHUNK_DYNAMIC);
    add_chunk(headers, PT_NOTE, PF_R, CHUNK_NOTES);
    add_chunk(headers, PT_NOTE, PF_R, CHUNK_PROPERTIES);
    uint64_t properties = edit_properties_size(edit);
    if (properties)
        add_segment(headers, PT_GNU_PROPERTY, PF_R,
                    edit->chunks[CHUNK_PROPERTIES].vaddr, properties,
                    properties, 8);
    if (edit->tls_size)
        add_segment(headers, PT_TLS, PF_R, edit->tls_start,
                    edit->chunks[CHUNK_TDATA].size, edit->tls_size,
                    edit->tls_align);
    add_chunk(headers, PT_GNU_EH_FRAME, PF_R, CHUNK_FRAME_INDEX);
    add_segment(headers, PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 16);
    add_segment(headers, PT_GNU_RELRO, PF_R, relro, sealed, sealed, 1);
}

static void add_entry(struct headers *headers, int64_t tag, uint64_t value)
{
    Elf64_Dyn *entry = &headers->entries[headers->entry_count++];
    entry->d_tag = tag;
    entry->d_un.d_val = value;
}

// An address, and its size in bytes, if there is anything.
static void add_table(struct headers *headers, int64_t tag, int64_t size_tag,
                      enum chunk chunk)
{
    const struct chunk_range *range = &headers->edit->chunks[chunk];
    if (!range->size)
        return;
    add_entry(headers, tag, range->vaddr);
    if (size_tag)
        add_entry(headers, size_tag, range->size);
}

static void add_entries(struct headers *headers)
{
    const struct edit *edit = headers->edit;
    uint64_t flags = (edit->image->relocates_text ? DF_TEXTREL : 0)
                   | (edit->static_tls ? DF_STATIC_TLS : 0);
    add_table(headers, DT_INIT, 0, CHUNK_INIT);
    add_table(headers, DT_FINI, 0, CHUNK_FINI);
    add_table(headers, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, CHUNK_INITS);
    add_table(headers, DT_FINI_ARRAY, DT_FINI_ARRAYSZ, CHUNK_FINIS);
    add_table(headers, DT_GNU_HASH, 0, CHUNK_HASH);
    add_table(headers, DT_STRTAB, DT_STRSZ, CHUNK_STRINGS);
    add_table(headers, DT_SYMTAB, 0, CHUNK_SYMBOLS);
    add_entry(headers, DT_SYMENT, sizeof(Elf64_Sym));
    add_table(headers, DT_PLTGOT, 0, CHUNK_GOT_PLT);
    add_table(headers, DT_JMPREL, DT_PLTRELSZ, CHUNK_JMPREL);
    if (edit->lazy_count)
        add_entry(headers, DT_PLTREL, DT_RELA);
    add_table(headers, DT_RELA, DT_RELASZ, CHUNK_RELA);
    add_entry(headers, DT_RELAENT, sizeof(Elf64_Rela));
    if (edit->image->relocates_text)
        add_entry(headers, DT_TEXTREL, 0);
    if (flags)
        add_entry(headers, DT_FLAGS, flags);
}

void edit_write_headers(struct edit *edit)
{
    Elf64_Ehdr *header = (void *)edit->bytes;
    struct headers headers = {
        .edit = edit,
        .segments = (Elf64_Phdr *)(void *)(header + 1),
        .entries = (void *)edit_at(edit, edit->chunks[CHUNK_DYNAMIC].vaddr),
    };
    add_segments(&headers);
    add_entries(&headers);
    for (enum chunk i = CHUNK_INIT; i <= CHUNK_FINI; i++)
        if (edit->chunks[i].size)
            edit_frame_code(edit_at(edit, edit->chunks[i].vaddr),
                            edit_at(edit, end_of(edit, i)));
    *header = (Elf64_Ehdr){
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT, ELFOSABI_SYSV },
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof *header,
        .e_shoff = edit->section_headers,
        .e_ehsize = sizeof *header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (uint16_t)headers.count,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = CHUNKS + 3,
        .e_shstrndx = CHUNKS + 2,
    };
}
