// Reads the dynamic section and the tables that it names.

#include "dynamic.h"

#include <stddef.h>

#include "../memory.h"

// What the entries hold before the tables that they name have been read.
struct entries {
    uint64_t strtab, strsz, symtab, syment, hash, gnu_hash;
    uint64_t versym, verneed, verdef;
    uint64_t rela, relasz, relaent, relacount, jmprel, pltrelsz, pltrel;
    uint64_t relr, relrsz, relrent;
    uint64_t rel;
    uint64_t soname, rpath, runpath;
    bool has_soname, has_rpath, has_runpath;
};

static void read_flags(struct elf_image *image, uint64_t flags)
{
    if (flags & DF_SYMBOLIC)
        image->symbolic = true;
    if (flags & DF_TEXTREL)
        image->text_relocations = true;
    if (flags & DF_BIND_NOW)
        image->bind_now = true;
}

static void read_entry(struct elf_image *image, struct entries *entries,
                       const Elf64_Dyn *entry)
{
    uint64_t value = entry->d_un.d_val;
    switch (entry->d_tag) {
    case DT_STRTAB: entries->strtab = value; break;
    case DT_STRSZ: entries->strsz = value; break;
    case DT_SYMTAB: entries->symtab = value; break;
    case DT_SYMENT: entries->syment = value; break;
    case DT_HASH: entries->hash = value; break;
    case DT_GNU_HASH: entries->gnu_hash = value; break;
    case DT_VERSYM: entries->versym = value; break;
    case DT_VERNEED: entries->verneed = value; break;
    case DT_VERDEF: entries->verdef = value; break;
    case DT_RELA: entries->rela = value; break;
    case DT_RELASZ: entries->relasz = value; break;
    case DT_RELACOUNT: entries->relacount = value; break;
    case DT_RELAENT: entries->relaent = value; break;
    case DT_JMPREL: entries->jmprel = value; break;
    case DT_PLTRELSZ: entries->pltrelsz = value; break;
    case DT_PLTREL: entries->pltrel = value; break;
    case DT_RELR: entries->relr = value; break;
    case DT_RELRSZ: entries->relrsz = value; break;
    case DT_RELRENT: entries->relrent = value; break;
    case DT_REL: entries->rel = value; break;
    case DT_SONAME:
        entries->soname = value;
        entries->has_soname = true;
        break;
    case DT_RPATH:
        entries->rpath = value;
        entries->has_rpath = true;
        break;
    case DT_RUNPATH:
        entries->runpath = value;
        entries->has_runpath = true;
        break;
    case DT_NEEDED: image->needed_count++; break;
    case DT_FILTER:
    case DT_AUXILIARY: image->filter_count++; break;
    case DT_INIT: image->init = value; break;
    case DT_FINI: image->fini = value; break;
    case DT_INIT_ARRAY: image->init_array.vaddr = value; break;
    case DT_INIT_ARRAYSZ: image->init_array.size = value; break;
    case DT_FINI_ARRAY: image->fini_array.vaddr = value; break;
    case DT_FINI_ARRAYSZ: image->fini_array.size = value; break;
    case DT_SYMBOLIC: image->symbolic = true; break;
    case DT_TEXTREL: image->text_relocations = true; break;
    case DT_FLAGS: read_flags(image, value); break;
    case DT_FLAGS_1: image->flags_1 = value; break;
    case DT_BIND_NOW: image->bind_now = true; break;
    case DT_PLTGOT: image->plt_slots = value; break;
    }
}

// The strings: all later offsets are checked against them once.
static const char *read_strings(struct elf_image *image,
                                const struct entries *entries)
{
    struct view *strtab = &image->symbols.strtab;
    if (!entries->strtab || !entries->strsz)
        return "no DT_STRTAB or DT_STRSZ in its dynamic section";
    if (!elf_image_at(image, entries->strtab, entries->strsz, strtab))
        return "DT_STRTAB and DT_STRSZ lie outside the segments";
    if (strtab->data[strtab->size - 1] != 0)
        return "DT_STRTAB: the string table does not end with a NUL";
    return NULL;
}

// The symbol table has no size of its own. It ends where the string table
// begins, which follows it as all linkers have it, or with its segment.
static const char *read_symbols(struct elf_image *image,
                                const struct entries *entries)
{
    struct elf_symbols *symbols = &image->symbols;
    if (!entries->symtab)
        return "no DT_SYMTAB in its dynamic section";
    if (entries->syment && entries->syment != sizeof(Elf64_Sym))
        return "DT_SYMENT is not 24";
    if (!elf_image_from(image, entries->symtab, &symbols->symtab))
        return "DT_SYMTAB lies outside the segments";
    uint64_t before = entries->strtab - entries->symtab;
    if (entries->strtab > entries->symtab && before < symbols->symtab.size)
        symbols->symtab.size = before;
    // Who keeps a bit for each keeps them by 64.
    const uint32_t most = UINT32_MAX & ~63u;
    uint64_t count = symbols->symtab.size / sizeof(Elf64_Sym);
    symbols->count = count > most ? most : (uint32_t)count;
    symbols->symtab.size = symbols->count * sizeof(Elf64_Sym);
    return NULL;
}

static const char *read_hashes(struct elf_image *image,
                               const struct entries *entries)
{
    struct view table;
    const char *wrong = NULL;
    if (entries->gnu_hash) {
        if (!elf_image_from(image, entries->gnu_hash, &table))
            return "DT_GNU_HASH lies outside the segments";
        wrong = elf_read_gnu_hash(&image->symbols, table);
    } else if (entries->hash) {
        if (!elf_image_from(image, entries->hash, &table))
            return "DT_HASH lies outside the segments";
        wrong = elf_read_sysv_hash(&image->symbols, table);
    }
    return wrong;
}

static const char *read_versions(struct elf_image *image,
                                 const struct entries *entries)
{
    struct elf_symbols *symbols = &image->symbols;
    struct view needs = { 0 }, definitions = { 0 };
    if (!entries->versym)
        return NULL;
    if (!elf_image_at(image, entries->versym, 2 * (uint64_t)symbols->count,
                      &symbols->versym)) {
        // The symbol table's end was only an upper bound.
        if (!elf_image_from(image, entries->versym, &symbols->versym))
            return "DT_VERSYM lies outside the segments";
    }
    if (entries->verneed && !elf_image_from(image, entries->verneed, &needs))
        return "DT_VERNEED lies outside the segments";
    if (entries->verdef
        && !elf_image_from(image, entries->verdef, &definitions))
        return "DT_VERDEF lies outside the segments";
    return elf_read_versions(symbols, needs, definitions);
}

static const char *read_relocations(struct elf_image *image,
                                    const struct entries *entries)
{
    struct elf_relocations *tables = &image->relocations;
    if (entries->rel)
        return "DT_REL: x86-64 has relocations with addends (DT_RELA) only";
    if (entries->relasz) {
        if (entries->relaent && entries->relaent != sizeof(Elf64_Rela))
            return "DT_RELAENT is not 24";
        if (entries->relasz % sizeof(Elf64_Rela))
            return "DT_RELASZ is no multiple of 24";
        if (!elf_image_at(image, entries->rela, entries->relasz, &tables->rela))
            return "DT_RELA and DT_RELASZ lie outside the segments";
    }
    if (entries->pltrelsz) {
        if (entries->pltrel && entries->pltrel != DT_RELA)
            return "DT_PLTREL is not DT_RELA";
        if (entries->pltrelsz % sizeof(Elf64_Rela))
            return "DT_PLTRELSZ is no multiple of 24";
        if (!elf_image_at(image, entries->jmprel, entries->pltrelsz,
                          &tables->jmprel))
            return "DT_JMPREL and DT_PLTRELSZ lie outside the segments";
    }
    if (entries->relrsz) {
        if (entries->relrent && entries->relrent != sizeof(Elf64_Relr))
            return "DT_RELRENT is not 8";
        if (entries->relrsz % sizeof(Elf64_Relr))
            return "DT_RELRSZ is no multiple of 8";
        if (!elf_image_at(image, entries->relr, entries->relrsz, &tables->relr))
            return "DT_RELR and DT_RELRSZ lie outside the segments";
    }
    // DT_RELASZ counts the PLT's relocations in, where linkers put them last.
    if (tables->jmprel.size && tables->rela.size
        && tables->jmprel.data >= tables->rela.data
        && tables->jmprel.data < tables->rela.data + tables->rela.size
        && tables->jmprel.data + tables->jmprel.size
           == tables->rela.data + tables->rela.size)
        tables->rela.size -= tables->jmprel.size;
    tables->relatives = tables->rela.size / sizeof(Elf64_Rela);
    if (entries->relacount < tables->relatives)
        tables->relatives = entries->relacount;
    return NULL;
}

static bool is_code(const struct elf_image *image, uint64_t vaddr)
{
    const struct elf_load *load = elf_image_load(image, vaddr, 1);
    return load && load->flags & PF_X;
}

static const char *check_functions(const struct elf_image *image)
{
    if (image->init && !is_code(image, image->init))
        return "DT_INIT lies outside the executable segments";
    if (image->fini && !is_code(image, image->fini))
        return "DT_FINI lies outside the executable segments";
    const struct elf_range *arrays[] = { &image->init_array,
                                         &image->fini_array };
    for (int i = 0; i < 2; i++)
        if (arrays[i]->size
            && (arrays[i]->size % 8
                || !elf_image_load(image, arrays[i]->vaddr, arrays[i]->size)))
            return i ? "DT_FINI_ARRAY and DT_FINI_ARRAYSZ lie outside the "
                       "segments"
                     : "DT_INIT_ARRAY and DT_INIT_ARRAYSZ lie outside the "
                       "segments";
    return NULL;
}

static const char *keep_name(const struct elf_image *image, uint64_t offset,
                             const char *wrong, uint32_t *into)
{
    if (offset >= image->symbols.strtab.size || offset > UINT32_MAX)
        return wrong;
    *into = (uint32_t)offset;
    return NULL;
}

// Each folder of a list is compared with those before it, so a list costs the
// square of its length.
enum { LONGEST_LIST = 65536 };

static const char *keep_list(const struct elf_image *image, uint64_t offset,
                             const char *outside, const char *too_long,
                             uint32_t *into)
{
    const char *wrong = keep_name(image, offset, outside, into);
    if (!wrong && strnlen(elf_string(&image->symbols, *into),
                          LONGEST_LIST + 1) > LONGEST_LIST)
        wrong = too_long;
    return wrong;
}

// The names, in a second pass over the entries: their number is known now, and
// goes for those that somebody adds to the file meanwhile, too.
static const char *read_names(struct elf_image *image, struct view section,
                              const struct entries *entries)
{
    image->needed = memory_array(image->needed_count, sizeof *image->needed);
    image->filters = memory_array(image->filter_count, sizeof *image->filters);
    if (!image->needed || !image->filters)
        return elf_no_memory;
    uint32_t needed = 0, filters = 0;
    const char *wrong = NULL;
    for (uint64_t at = 0; !wrong && at < section.size;
         at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        view_read(section, at, &entry, sizeof entry);
        if (entry.d_tag == DT_NEEDED && needed < image->needed_count) {
            wrong = keep_name(image, entry.d_un.d_val, "DT_NEEDED: a name lies "
                              "outside DT_STRTAB", &image->needed[needed++]);
        } else if ((entry.d_tag == DT_FILTER || entry.d_tag == DT_AUXILIARY)
                   && filters < image->filter_count) {
            image->filters[filters].auxiliary = entry.d_tag == DT_AUXILIARY;
            wrong = keep_name(image, entry.d_un.d_val, "DT_FILTER or "
                              "DT_AUXILIARY: a name lies outside DT_STRTAB",
                              &image->filters[filters++].name);
        }
    }
    if (!wrong && entries->has_soname)
        wrong = keep_name(image, entries->soname, "DT_SONAME lies outside "
                          "DT_STRTAB", &image->soname);
    // With DT_RUNPATH, DT_RPATH is ignored.
    if (!wrong && entries->has_runpath)
        wrong = keep_list(image, entries->runpath, "DT_RUNPATH lies outside "
                          "DT_STRTAB", "DT_RUNPATH has more than 65536 bytes",
                          &image->runpath);
    else if (!wrong && entries->has_rpath)
        wrong = keep_list(image, entries->rpath, "DT_RPATH lies outside "
                          "DT_STRTAB", "DT_RPATH has more than 65536 bytes",
                          &image->rpath);
    return wrong;
}

const char *elf_read_dynamic(struct elf_image *image)
{
    struct view section;
    struct entries entries = { 0 };
    if (!elf_image_at(image, image->dynamic.vaddr, image->dynamic.size,
                      &section))
        return "PT_DYNAMIC lies outside the segments";
    uint64_t at = 0;
    for (;; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        if (!view_read(section, at, &entry, sizeof entry))
            return "PT_DYNAMIC does not end with DT_NULL";
        if (entry.d_tag == DT_NULL)
            break;
        read_entry(image, &entries, &entry);
    }
    section.size = at;
    const char *wrong = read_strings(image, &entries);
    if (!wrong)
        wrong = read_symbols(image, &entries);
    if (!wrong)
        wrong = read_hashes(image, &entries);
    if (!wrong)
        wrong = read_versions(image, &entries);
    if (!wrong)
        wrong = read_relocations(image, &entries);
    if (!wrong)
        wrong = check_functions(image);
    if (!wrong)
        wrong = read_names(image, section, &entries);
    return wrong;
}
