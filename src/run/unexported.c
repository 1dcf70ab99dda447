// Symbols that nothing exports: static functions and variables of the objects
// that a plugin is made of, and hidden ones. The image's file has them in its
// .symtab (gABI "Symbol Table"), which is not mapped. Readers take no lock: the
// table is there as long as the plugin. So has the file of a program that was
// linked without -rdynamic.

#include "objects.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "missing.h"

// The bytes of a section by its number.
static bool section(struct view file, const Elf64_Ehdr *header,
                    uint32_t number, Elf64_Shdr *read, struct view *bytes)
{
    return number < header->e_shnum
        && view_read(file, header->e_shoff + number * sizeof *read, read,
                     sizeof *read)
        && view_part(file, read->sh_offset, read->sh_size, bytes);
}

static bool find_tables(struct view file, struct view *symtab,
                        struct view *strtab)
{
    Elf64_Ehdr header;
    Elf64_Shdr read;
    if (!view_read(file, 0, &header, sizeof header))
        return false;
    for (uint32_t i = 1; i < header.e_shnum; i++)
        if (section(file, &header, i, &read, symtab)
            && read.sh_type == SHT_SYMTAB)
            return section(file, &header, read.sh_link, &read, strtab)
                && strtab->size && !strtab->data[strtab->size - 1];
    return false;
}

e64_status statics_read(e64_plugin *plugin)
{
    struct elf_symbols *statics = &plugin->objects->statics;
    struct view symtab, strtab;
    if (!find_tables(plugin->unit.file.view, &symtab, &strtab))
        return E64_OK;
    uint8_t *copy = memory_resize(NULL, symtab.size + strtab.size);
    if (!copy)
        return fail_memory(symtab.size + strtab.size);
    memcpy(copy, symtab.data, symtab.size);
    memcpy(copy + symtab.size, strtab.data, strtab.size);
    statics->symtab = (struct view){ copy, symtab.size };
    statics->strtab = (struct view){ copy + symtab.size, strtab.size };
    statics->count = (uint32_t)(symtab.size / sizeof(Elf64_Sym));
    return E64_OK;
}

// Has it a name, and a place in the image that no other table tells of?
static bool is_static(const Elf64_Sym *symbol)
{
    unsigned char type = ELF64_ST_TYPE(symbol->st_info);
    return symbol->st_name && symbol->st_shndx != SHN_UNDEF
        && type != STT_SECTION && type != STT_FILE && !elf_exported(symbol);
}

const struct elf_symbols *statics_of(const e64_plugin *plugin)
{
    return plugin && plugin->objects ? &plugin->objects->statics : NULL;
}

bool statics_find(const struct elf_symbols *statics, const char *name,
                  uint32_t *index, Elf64_Sym *symbol)
{
    for (uint32_t i = 1; statics && i < statics->count; i++) {
        if (elf_symbol(statics, i, symbol) && is_static(symbol)
            && strcmp(elf_string(statics, symbol->st_name), name) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool unexported_has(const char *path, const char *name)
{
    struct elf_file file;
    struct elf_symbols symbols = { 0 };
    Elf64_Sym symbol;
    bool found = false;
    if (elf_file_open_path(path, &file) != E64_OK)
        return false;
    if (find_tables(file.view, &symbols.symtab, &symbols.strtab))
        symbols.count = (uint32_t)(symbols.symtab.size / sizeof symbol);
    for (uint32_t i = 1; i < symbols.count && !found; i++)
        found = elf_symbol(&symbols, i, &symbol) && symbol.st_name
             && symbol.st_shndx != SHN_UNDEF && elf_exported(&symbol)
             && strcmp(elf_string(&symbols, symbol.st_name), name) == 0;
    elf_file_close(&file);
    return found;
}

int statics_each(const struct elf_symbols *statics,
                 int (*visit)(void *data, uint32_t index,
                              const Elf64_Sym *symbol), void *data)
{
    Elf64_Sym symbol;
    int answer = 0;
    for (uint32_t i = 1; statics && i < statics->count && !answer; i++)
        if (elf_symbol(statics, i, &symbol) && is_static(&symbol))
            answer = visit(data, i, &symbol);
    return answer;
}
