// What is in the file and not in memory: .symtab, in which debuggers,
// backtraces and lookups find static functions too, and the section headers.

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// A section for each chunk, by its number, and three more.
static const struct {
    const char *name;
    uint32_t type;
    uint64_t flags, entry;
    enum chunk link;
} sections[CHUNKS + 3] = {
    [CHUNK_HEADERS] = { ".headers", SHT_PROGBITS, SHF_ALLOC, 0, 0 },
    [CHUNK_NOTES] = { ".note", SHT_NOTE, SHF_ALLOC, 0, 0 },
    [CHUNK_PROPERTIES] = { ".note.gnu.property", SHT_NOTE, SHF_ALLOC, 0, 0 },
    [CHUNK_HASH] = { ".gnu.hash", SHT_GNU_HASH, SHF_ALLOC, 0,
                     CHUNK_SYMBOLS },
    [CHUNK_SYMBOLS] = { ".dynsym", SHT_DYNSYM, SHF_ALLOC, sizeof(Elf64_Sym),
                        CHUNK_STRINGS },
    [CHUNK_STRINGS] = { ".dynstr", SHT_STRTAB, SHF_ALLOC, 0, 0 },
    [CHUNK_RELA] = { ".rela.dyn", SHT_RELA, SHF_ALLOC, sizeof(Elf64_Rela),
                     CHUNK_SYMBOLS },
    [CHUNK_JMPREL] = { ".rela.plt", SHT_RELA, SHF_ALLOC, sizeof(Elf64_Rela),
                       CHUNK_SYMBOLS },
    [CHUNK_RODATA] = { ".rodata", SHT_PROGBITS, SHF_ALLOC, 0, 0 },
    [CHUNK_FRAME_INDEX] = { ".eh_frame_hdr", SHT_PROGBITS, SHF_ALLOC, 0, 0 },
    [CHUNK_FRAMES] = { ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 0, 0 },
    [CHUNK_PLT] = { ".plt", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16, 0 },
    [CHUNK_INIT] = { ".init", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0, 0 },
    [CHUNK_FINI] = { ".fini", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0, 0 },
    [CHUNK_TEXT] = { ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0, 0 },
    [CHUNK_STUBS] = { ".stubs", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0,
                      0 },
    [CHUNK_TDATA] = { ".tdata", SHT_PROGBITS,
                      SHF_ALLOC | SHF_WRITE | SHF_TLS, 0, 0 },
    [CHUNK_TBSS] = { ".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS, 0,
                     0 },
    [CHUNK_INITS] = { ".init_array", SHT_INIT_ARRAY, SHF_ALLOC | SHF_WRITE, 8,
                      0 },
    [CHUNK_FINIS] = { ".fini_array", SHT_FINI_ARRAY, SHF_ALLOC | SHF_WRITE, 8,
                      0 },
    [CHUNK_RELRO] = { ".data.rel.ro", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 0,
                      0 },
    [CHUNK_RELRO_FRAMES] = { ".eh_frame", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE,
                             0, 0 },
    [CHUNK_DYNAMIC] = { ".dynamic", SHT_DYNAMIC, SHF_ALLOC | SHF_WRITE,
                        sizeof(Elf64_Dyn), CHUNK_STRINGS },
    [CHUNK_GOT] = { ".got", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, 0 },
    [CHUNK_GOT_PLT] = { ".got.plt", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8,
                        0 },
    [CHUNK_DATA] = { ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 0, 0 },
    [CHUNK_BSS] = { ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 0, 0 },
    [CHUNK_LARGE_BSS] = { ".lbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 0, 0 },
    [CHUNKS] = { ".symtab", SHT_SYMTAB, 0, sizeof(Elf64_Sym), CHUNKS + 1 },
    [CHUNKS + 1] = { ".strtab", SHT_STRTAB, 0, 0, 0 },
    [CHUNKS + 2] = { ".shstrtab", SHT_STRTAB, 0, 0, 0 },
};

// .symtab while it is counted, and while it is written.
struct table {
    struct edit *edit;
    Elf64_Sym *symbols; // NULL: only counted
    char *strings;
    uint64_t count, size; // of symbols, of strings
};

static void add(struct table *table, const char *name, Elf64_Sym symbol)
{
    size_t size = strlen(name) + 1;
    if (table->symbols) {
        symbol.st_name = (uint32_t)table->size;
        table->symbols[table->count] = symbol;
        memcpy(table->strings + table->size, name, size);
    }
    table->count++;
    table->size += size;
}

// Not the labels that compilers make, nor what names a section or file.
static bool is_told(const struct elf_symbol *symbol)
{
    return *symbol->name && strncmp(symbol->name, ".L", 2) != 0
        && symbol->type != STT_SECTION && symbol->type != STT_FILE;
}

static void add_locals(struct table *table, const struct unit *unit)
{
    const struct edit *edit = table->edit;
    const struct elf_relocatable *read = &unit->read;
    for (uint32_t i = 1; i < read->local_count; i++) {
        struct elf_symbol symbol = elf_relocatable_symbol(read, i);
        if (!symbol.section || symbol.section >= read->section_count
            || !is_told(&symbol)
            || !piece_is_loaded(&unit->pieces[symbol.section]))
            continue;
        const struct piece *piece = &unit->pieces[symbol.section];
        uint64_t value = piece->vaddr + symbol.value;
        if (symbol.type == STT_TLS)
            value -= edit->tls_start;
        add(table, symbol.name, (Elf64_Sym){
            .st_info = ELF64_ST_INFO(STB_LOCAL, symbol.type),
            .st_other = symbol.visibility, .st_shndx = piece->chunk,
            .st_value = value, .st_size = symbol.size });
    }
}

// Hidden ones are local by now, and local ones come first.
static void add_globals(struct table *table, bool local)
{
    const struct edit *edit = table->edit;
    for (uint32_t i = 0; i < edit->bucket_count; i++) {
        for (const struct symbol *symbol = edit->buckets[i]; symbol;
             symbol = symbol->next) {
            bool hidden = symbol->visibility == STV_HIDDEN
                       || symbol->visibility == STV_INTERNAL;
            if (symbol->place == PLACE_NONE || hidden != local
                || (symbol->place == PLACE_SECTION
                    && !piece_is_loaded(
                           &symbol->unit->pieces[symbol->section])))
                continue;
            add(table, symbol->name, table->symbols
                ? edit_symbol(edit, symbol) : (Elf64_Sym){ 0 });
        }
    }
}

static void fill(struct table *table)
{
    struct edit *edit = table->edit;
    add(table, "", (Elf64_Sym){ 0 });
    for (uint32_t i = 0; i < edit->unit_count; i++)
        if (!edit->units[i]->ours)
            add_locals(table, edit->units[i]);
    add_globals(table, true);
    edit->static_local = table->count;
    add_globals(table, false);
}

void edit_count_statics(struct edit *edit)
{
    struct table table = { .edit = edit };
    uint64_t at = (edit->loaded_size + 7) & ~7ull;
    fill(&table);
    edit->static_count = table.count;
    edit->static_strings_size = table.size;
    edit->statics = at;
    edit->static_strings = at += table.count * sizeof(Elf64_Sym);
    edit->section_names = at += table.size;
    for (uint32_t i = 0; i < CHUNKS + 3; i++)
        at += sections[i].name ? strlen(sections[i].name) + 1 : 1;
    edit->section_headers = (at + 7) & ~7ull;
    edit->file_size = edit->section_headers
                    + (CHUNKS + 3) * sizeof(Elf64_Shdr);
}

static Elf64_Shdr header_of(const struct edit *edit, uint32_t number)
{
    Elf64_Shdr header = {
        .sh_type = sections[number].type,
        .sh_flags = sections[number].flags,
        .sh_entsize = sections[number].entry,
        .sh_link = sections[number].link,
        .sh_addralign = 1,
    };
    if (number < CHUNKS) {
        const struct chunk_range *range = &edit->chunks[number];
        header.sh_addr = header.sh_offset = range->vaddr;
        header.sh_size = range->size;
        header.sh_addralign = range->align;
        header.sh_info = number == CHUNK_SYMBOLS ? edit->first_global : 0;
        if (!range->size)
            header = (Elf64_Shdr){ .sh_type = SHT_NULL };
        return header;
    }
    uint64_t starts[] = { edit->statics, edit->static_strings,
                          edit->section_names, edit->section_headers };
    header.sh_offset = starts[number - CHUNKS];
    header.sh_size = number == CHUNKS
                   ? edit->static_count * sizeof(Elf64_Sym)
                   : number == CHUNKS + 1 ? edit->static_strings_size
                   : starts[3] - starts[2];
    if (number == CHUNKS) {
        header.sh_info = (uint32_t)edit->static_local;
        header.sh_addralign = 8;
    }
    return header;
}

void edit_write_statics(struct edit *edit)
{
    struct table table = {
        .edit = edit, .symbols = (void *)edit_at(edit, edit->statics),
        .strings = (char *)edit_at(edit, edit->static_strings),
    };
    fill(&table);
    char *names = (char *)edit_at(edit, edit->section_names);
    Elf64_Shdr *headers = (void *)edit_at(edit, edit->section_headers);
    uint32_t at = 1;
    for (uint32_t i = 1; i < CHUNKS + 3; i++) {
        headers[i] = header_of(edit, i);
        if (headers[i].sh_type == SHT_NULL)
            continue;
        headers[i].sh_name = at;
        strcpy(names + at, sections[i].name);
        at += (uint32_t)strlen(sections[i].name) + 1;
    }
}
