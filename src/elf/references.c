// Reads what in an object file refers to other parts of it: the symbol table,
// relocations, groups (gABI chapter 4).

#include "../error.h"
#include "../memory.h"
#include "header.h"
#include "reading.h"

// psABI, "Special Sections": common symbols of the large models.
enum { SHN_LARGE_COMMON = SHN_LOPROC + 2 };

static e64_status bad_symbol(const struct reading *reading, uint32_t index,
                             const char *what)
{
    return elf_refuse(E64_BADFORMAT, reading->name, "symbol %u: %s", index,
                      what);
}

// Where a symbol is; gABI "Symbol Table", "Special Section Indexes".
static const char *check_place(const struct elf_relocatable *object,
                               uint32_t index, const Elf64_Sym *symbol)
{
    uint32_t section = symbol->st_shndx;
    if (section == SHN_XINDEX) {
        if (!object->shndx.size)
            return "st_shndx is SHN_XINDEX, but there is no SHT_SYMTAB_SHNDX";
        section = load32(object->shndx.data + 4 * (uint64_t)index);
        return section && section < object->section_count ? NULL
             : "its entry of SHT_SYMTAB_SHNDX is no section";
    }
    if (section == SHN_COMMON || section == SHN_LARGE_COMMON) {
        if (index < object->local_count)
            return "st_shndx is SHN_COMMON, but the symbol is local";
        if (!reading_can_align(symbol->st_value))
            return "st_value, the alignment of a common symbol, is no usable "
                   "power of two";
        return symbol->st_size < READING_SPACE ? NULL
             : "st_size of a common symbol exceeds the address space";
    }
    if (section == SHN_ABS)
        return NULL;
    if (section >= SHN_LORESERVE)
        return "st_shndx is reserved and has no meaning";
    return section < object->section_count ? NULL : "st_shndx is no section";
}

static const char *check_symbol(struct reading *reading, uint32_t index)
{
    const struct elf_relocatable *object = reading->object;
    Elf64_Sym symbol;
    memcpy(&symbol, object->symtab.data + (uint64_t)index * sizeof symbol,
           sizeof symbol);
    unsigned binding = ELF64_ST_BIND(symbol.st_info);
    if (symbol.st_name && symbol.st_name >= object->strtab.size)
        return "st_name lies outside the string table";
    if (symbol.st_name && !reading_count(reading, (const char *)
                                         object->strtab.data + symbol.st_name))
        return READING_LONG_NAMES("st_name");
    if (binding != STB_LOCAL && binding != STB_GLOBAL && binding != STB_WEAK
        && binding != STB_GNU_UNIQUE)
        return "st_info has a binding that does not exist";
    if ((binding == STB_LOCAL) != (index < object->local_count))
        return "st_info and the symbol table's sh_info do not agree on whether "
               "it is local";
    return check_place(object, index, &symbol);
}

// Finds the symbol table and what goes with it.
static e64_status find_symbols(struct reading *reading)
{
    struct elf_relocatable *object = reading->object;
    uint32_t extended = 0;
    for (uint32_t i = 1; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        uint32_t *found = section->type == SHT_SYMTAB ? &reading->symtab
                        : section->type == SHT_SYMTAB_SHNDX ? &extended : NULL;
        if (found && *found)
            return reading_bad(reading, i, "sh_type is that of another section "
                               "already; an object has one SHT_SYMTAB and one "
                               "SHT_SYMTAB_SHNDX");
        if (found)
            *found = i;
    }
    if (extended) {
        const struct elf_section *section = &object->sections[extended];
        if (!reading->symtab || section->link != reading->symtab)
            return reading_bad(reading, extended, "sh_link is not the symbol "
                               "table");
        if (section->size / 4
            < object->sections[reading->symtab].size / sizeof(Elf64_Sym))
            return reading_bad(reading, extended, "sh_size is less than the "
                               "symbol table's entries need");
        object->shndx = section->bytes;
    }
    return E64_OK;
}

e64_status reading_symbols(struct reading *reading)
{
    struct elf_relocatable *object = reading->object;
    e64_status status = find_symbols(reading);
    if (status != E64_OK || !reading->symtab)
        return status;
    uint32_t index = reading->symtab;
    const struct elf_section *section = &object->sections[index];
    uint64_t count = section->size / sizeof(Elf64_Sym);
    if (section->entsize != sizeof(Elf64_Sym))
        return reading_bad(reading, index, "sh_entsize is not 24");
    if (section->size % sizeof(Elf64_Sym) || count > INT32_MAX)
        return reading_bad(reading, index, "sh_size is no number of symbols");
    if (section->info > count || (count && section->info == 0))
        return reading_bad(reading, index, "sh_info, the number of local "
                           "symbols, does not fit sh_size");
    if (section->link == 0 || section->link >= object->section_count)
        return reading_bad(reading, index, "sh_link, the string table, is no "
                           "section");
    object->symtab = section->bytes;
    object->symbol_count = (uint32_t)count;
    object->local_count = section->info;
    status = reading_strings(reading, section->link, &object->strtab);
    for (uint32_t i = 0; i < count && status == E64_OK; i++) {
        const char *wrong = check_symbol(reading, i);
        if (wrong)
            status = bad_symbol(reading, i, wrong);
    }
    return status;
}

// How far its relocations may go: what debuggers are to unpack (gABI "Section
// Compression") is relocated afterwards.
static uint64_t unpacked_size(const struct elf_section *section)
{
    Elf64_Chdr header;
    return section->flags & SHF_COMPRESSED
        && view_read(section->bytes, 0, &header, sizeof header)
         ? header.ch_size : section->size;
}

static e64_status check_relocations(const struct reading *reading,
                                    uint32_t index,
                                    const struct elf_section *target)
{
    const struct elf_relocatable *object = reading->object;
    uint32_t count = elf_rela_count(target);
    uint64_t size = unpacked_size(target);
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Rela rela = elf_rela(target, i);
        uint32_t symbol = ELF64_R_SYM(rela.r_info);
        if (symbol && symbol >= object->symbol_count)
            return elf_refuse(E64_BADFORMAT, reading->name, "section %u (%s): "
                              "r_info of relocation %u has symbol %u, which "
                              "does not exist", index,
                              object->sections[index].name, i, symbol);
        if (rela.r_offset > size)
            return elf_refuse(E64_BADFORMAT, reading->name, "section %u (%s): "
                              "r_offset of relocation %u lies outside the "
                              "section %s", index,
                              object->sections[index].name, i, target->name);
    }
    return E64_OK;
}

static e64_status read_relocations(const struct reading *reading,
                                   uint32_t index)
{
    struct elf_relocatable *object = reading->object;
    const struct elf_section *section = &object->sections[index];
    if (section->entsize != sizeof(Elf64_Rela))
        return reading_bad(reading, index, "sh_entsize is not 24");
    if (section->size % sizeof(Elf64_Rela)
        || section->size / sizeof(Elf64_Rela) > UINT32_MAX)
        return reading_bad(reading, index, "sh_size is no number of "
                           "relocations");
    if (section->link != reading->symtab)
        return reading_bad(reading, index, "sh_link is not the symbol table");
    if (section->info == 0 || section->info >= object->section_count
        || object->sections[section->info].type == SHT_NULL)
        return reading_bad(reading, index, "sh_info, the section that it "
                           "relocates, is no section");
    struct elf_section *target = &object->sections[section->info];
    if (target->rela.data)
        return reading_bad(reading, index, "sh_info is a section that another "
                           "SHT_RELA relocates already");
    if (target->type == SHT_NOBITS && section->size)
        return reading_bad(reading, index, "sh_info is an SHT_NOBITS section, "
                           "which has no bytes to relocate");
    target->rela = section->bytes;
    return check_relocations(reading, index, target);
}

static e64_status read_members(const struct reading *reading, uint32_t index,
                               const struct elf_group *group)
{
    struct elf_relocatable *object = reading->object;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t member = elf_group_member(group, i);
        if (member == 0 || member >= object->section_count
            || object->sections[member].type == SHT_GROUP)
            return elf_refuse(E64_BADFORMAT, reading->name, "section %u (%s): "
                              "member %u of the group is %u, which is no "
                              "section that may be in a group", index,
                              object->sections[index].name, i, member);
        if (object->sections[member].group)
            return elf_refuse(E64_BADFORMAT, reading->name, "section %u (%s): "
                              "member %u of the group, section %u, is in a "
                              "group already", index,
                              object->sections[index].name, i, member);
        object->sections[member].group = object->group_count + 1;
    }
    return E64_OK;
}

static e64_status read_group(struct reading *reading, uint32_t index)
{
    struct elf_relocatable *object = reading->object;
    const struct elf_section *section = &object->sections[index];
    if (section->link != reading->symtab)
        return reading_bad(reading, index, "sh_link is not the symbol table");
    if (section->info == 0 || section->info >= object->symbol_count)
        return reading_bad(reading, index, "sh_info, the symbol that names the "
                           "group, does not exist");
    if (section->size < 4 || section->size % 4
        || section->size / 4 > UINT32_MAX)
        return reading_bad(reading, index, "sh_size is no number of words");
    uint32_t flags = load32(section->bytes.data);
    if (flags & ~(uint32_t)GRP_COMDAT)
        return elf_refuse(E64_UNSUPPORTED, reading->name, "section %u (%s): "
                          "the group's flags are 0x%x; only GRP_COMDAT (1) is "
                          "known", index, section->name, flags);
    struct elf_symbol symbol = elf_relocatable_symbol(object, section->info);
    struct elf_group *group = &object->groups[object->group_count];
    *group = (struct elf_group){
        // ld -r may name a group by the symbol of a section, which has no name.
        .signature = symbol.type == STT_SECTION
                  && symbol.section < object->section_count
                   ? object->sections[symbol.section].name : symbol.name,
        .members = { section->bytes.data + 4, section->size - 4 },
        .count = (uint32_t)(section->size / 4 - 1),
        .section = index,
        .comdat = flags & GRP_COMDAT,
    };
    if (!reading_count(reading, group->signature))
        return reading_bad(reading, index, READING_LONG_NAMES("sh_info"));
    e64_status status = read_members(reading, index, group);
    object->group_count++;
    return status;
}

// What refers to sections and symbols, when all of these are known.
e64_status reading_references(struct reading *reading)
{
    struct elf_relocatable *object = reading->object;
    uint32_t groups = 0;
    for (uint32_t i = 1; i < object->section_count; i++)
        groups += object->sections[i].type == SHT_GROUP;
    object->groups = groups ? memory_array(groups, sizeof *object->groups)
                            : NULL;
    if (groups && !object->groups)
        return fail_memory(groups * sizeof *object->groups);
    e64_status status = E64_OK;
    for (uint32_t i = 1; i < object->section_count && status == E64_OK; i++) {
        uint32_t type = object->sections[i].type;
        if (type == SHT_RELA)
            status = read_relocations(reading, i);
        else if (type == SHT_GROUP)
            status = read_group(reading, i);
    }
    return status;
}
