// Finds out what the relocations of a plugin want, and has it found. Nothing is
// written to the plugin and nothing of it runs.

#include "resolving.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "reloc.h"
#include "storage.h"

e64_status resolving_bad(const struct link_unit *unit, const char *what)
{
    fail(E64_BADFORMAT, "%s: %s", unit->object.name, what);
    error_path(unit->object.name);
    return E64_BADFORMAT;
}

// ------------------------------------------------- what relocations want ---

static e64_status check_symbol(const struct link_unit *unit, uint32_t index)
{
    return index < unit->object.symbols->count ? E64_OK
         : resolving_bad(unit, "a relocation's symbol index (r_info) lies "
                         "outside DT_SYMTAB");
}

// The table is as long as the highest symbol that a relocation names.
static e64_status make_words(struct resolving *resolving, uint32_t symbol)
{
    struct link_bindings *bindings = &resolving->unit->bindings;
    const uint32_t all = resolving->unit->object.symbols->count;
    uint32_t old = bindings->symbols / 64, count = old + old / 2;
    uint32_t most = (all + 63) / 64;
    if (count > most)
        count = most;
    if (count <= symbol / 64)
        count = symbol / 64 + 1;
    struct link_word *words = memory_resize(bindings->words,
                                            count * sizeof *words);
    if (!words)
        return fail_memory(count * sizeof *words);
    memset(words + old, 0, (count - old) * sizeof *words);
    bindings->words = words;
    for (int class = 0; resolving->context->decide && class < 2; class++) {
        uint8_t *kinds = memory_resize(resolving->kinds[class], count * 64);
        if (!kinds)
            return fail_memory(count * 64);
        resolving->kinds[class] = kinds;
    }
    bindings->symbols = count < most ? count * 64 : all;
    return E64_OK;
}

static e64_status want(struct resolving *resolving, uint32_t symbol,
                       enum reloc_kind kind, enum link_class class)
{
    struct link_bindings *bindings = &resolving->unit->bindings;
    if (symbol >= bindings->symbols) {
        e64_status status = check_symbol(resolving->unit, symbol);
        if (status == E64_OK)
            status = make_words(resolving, symbol);
        if (status != E64_OK)
            return status;
    }
    uint64_t *wanted = &bindings->words[symbol / 64].wanted[class];
    uint64_t bit = 1ull << symbol % 64;
    if (!(*wanted & bit)) {
        if (resolving->kinds[class])
            resolving->kinds[class][symbol] = (uint8_t)kind;
        bindings->imports++;
        *wanted |= bit;
    }
    return E64_OK;
}

static e64_status refuse(const struct link_unit *unit, uint32_t type,
                         uint32_t index, const char *why)
{
    Elf64_Sym symbol;
    const char *name = "";
    if (index && elf_symbol(unit->object.symbols, index, &symbol))
        name = elf_string(unit->object.symbols, symbol.st_name);
    fail(E64_UNSUPPORTED, "%s: holds a relocation %s (type %u)%s%s%s: %s",
         unit->object.name, reloc_name(type), type, *name ? " for '" : "",
         name, *name ? "'" : "", why);
    error_path(unit->object.name);
    if (*name)
        error_symbol(name, NULL);
    return E64_UNSUPPORTED;
}

// What is called through the PLT may wait, but not what is wrong with it.
static bool waits(const struct link_unit *unit, const uint8_t *entry,
                  uint32_t symbol)
{
    const struct view *plt = &unit->image.relocations.jmprel;
    Elf64_Sym read;
    return unit->lazy.wanted && entry >= plt->data
        && entry < plt->data + plt->size
        && lazy_waits(unit, load64(entry))
        && elf_symbol(unit->object.symbols, symbol, &read)
        && read.st_name < unit->object.symbols->strtab.size;
}

static e64_status read_relocation(struct resolving *resolving,
                                  const uint8_t *entry)
{
    struct link_unit *unit = resolving->unit;
    uint64_t info = load64(entry + 8);
    uint32_t type = ELF64_R_TYPE(info);
    uint32_t symbol = (uint32_t)ELF64_R_SYM(info);
    enum reloc_kind kind = reloc_kind(type);
    enum link_class class = LINK_CLASS_DEFINED;
    if (reloc_is_for_objects(type) && !unit->made)
        kind = RELOC_UNKNOWN;
    switch (kind) {
    case RELOC_NONE:
    case RELOC_RELATIVE:
    case RELOC_IRELATIVE:
        return E64_OK;
    case RELOC_SYMBOL:
    case RELOC_SIZE:
        class = LINK_CLASS_ANY;
        break;
    case RELOC_JUMP:
        if (symbol && waits(unit, entry, symbol))
            return E64_OK;
        break;
    case RELOC_TLS:
        break;
    case RELOC_COPY:
        return refuse(unit, type, symbol, "only executables have copies of "
                      "others' data; link it with -shared");
    case RELOC_STATIC_TLS:
        resolving->static_tls = true;
        break;
    case RELOC_DESCRIPTOR:
        unit->descriptor_room++;
        break;
    case RELOC_UNKNOWN:
        return refuse(unit, type, symbol, "x86-64 shared objects have no such "
                      "relocation");
    }
    return symbol ? want(resolving, symbol, kind, class) : E64_OK;
}

// Most want a word of what others want already.
static e64_status read_table(struct resolving *resolving, struct view table)
{
    const struct link_bindings *bindings = &resolving->unit->bindings;
    const bool lazy = resolving->unit->lazy.wanted;
    uint64_t last = 0;
    e64_status status = E64_OK;
    for (uint64_t at = 0; status == E64_OK && at < table.size;
         at += sizeof(Elf64_Rela)) {
        const uint8_t *entry = table.data + at;
        uint64_t info = load64(entry + 8);
        if (info == last)
            continue;
        uint32_t type = ELF64_R_TYPE(info);
        uint32_t symbol = (uint32_t)ELF64_R_SYM(info);
        enum link_class class = LINK_CLASS_ANY;
        if (type >= LINK_TYPES || !reloc_words[type].plain || !symbol
            || (lazy && reloc_words[type].jumps)) {
            status = read_relocation(resolving, entry);
            continue;
        }
        last = info;
        if (reloc_words[type].jumps)
            class = LINK_CLASS_DEFINED;
        if (!link_wants(bindings, symbol, class))
            status = want(resolving, symbol, reloc_kind(type), class);
    }
    return status;
}

// The tables, but for what is counted as relative.
static void list_tables(const struct link_unit *unit, struct view tables[2])
{
    const struct elf_relocations *all = &unit->image.relocations;
    tables[0] = view_behind(all->rela, all->relatives * sizeof(Elf64_Rela));
    tables[1] = all->jmprel;
}

static e64_status read_tables(struct resolving *resolving)
{
    struct view tables[2];
    list_tables(resolving->unit, tables);
    e64_status status = read_table(resolving, tables[0]);
    return status == E64_OK ? read_table(resolving, tables[1]) : status;
}

static e64_status
each_relocation(struct resolving *resolving,
                e64_status (*visit)(struct resolving *resolving,
                                    const uint8_t *entry))
{
    struct view tables[2];
    e64_status status = E64_OK;
    list_tables(resolving->unit, tables);
    for (int i = 0; i < 2; i++)
        for (uint64_t at = 0; status == E64_OK && at < tables[i].size;
             at += sizeof(Elf64_Rela))
            status = visit(resolving, tables[i].data + at);
    return status;
}

static e64_status place_storage(struct resolving *resolving,
                                const uint8_t *entry)
{
    uint64_t info = load64(entry + 8);
    return reloc_kind(ELF64_R_TYPE(info)) != RELOC_STATIC_TLS ? E64_OK
         : storage_place(resolving->unit, (uint32_t)ELF64_R_SYM(info),
                         resolving->context->absent != NULL);
}

// Told once of each class of each, in the order of the relocations, as ld.so
// would come to them.
static e64_status tell_undefined(struct resolving *resolving,
                                 const uint8_t *entry)
{
    struct link_unit *unit = resolving->unit;
    const struct link_context *context = resolving->context;
    uint32_t symbol = (uint32_t)ELF64_R_SYM(load64(entry + 8));
    for (uint32_t class = 0; class < 2; class++) {
        if (!symbol || !link_wants(&unit->bindings, symbol, class)
            || link_is_own(&unit->bindings, symbol))
            continue;
        struct link_entry *binding = link_entry(&unit->bindings, symbol, class);
        Elf64_Sym read;
        if (binding->undefined && !binding->definer
            && elf_symbol(unit->object.symbols, symbol, &read)
            && ELF64_ST_BIND(read.st_info) != STB_WEAK)
            context->missing(context->data, unit, symbol);
        binding->undefined = false;
    }
    return E64_OK;
}

// Each version that the file needs must be defined by the object that it names,
// if that has versions at all.
static e64_status check_versions(const struct link_unit *unit,
                                 const struct link_context *context)
{
    const struct elf_symbols *symbols = unit->object.symbols;
    const struct elf_object *object = NULL;
    const char *found = NULL; // the file that the object stands for
    for (uint32_t i = 0; i < symbols->version_count; i++) {
        const struct elf_version *version = &symbols->versions[i];
        const char *name = elf_string(symbols, version->name);
        const char *file = elf_string(symbols, version->file);
        // This one only says that ld.so must know DT_RELR; we do.
        if (!version->needed || strcmp(name, "GLIBC_ABI_DT_RELR") == 0)
            continue;
        if (file != found)
            object = context->find(context->data, found = file);
        if (!object && context->absent
            && context->absent(context->data, unit, file))
            continue;
        if (!object) {
            fail(E64_BADFORMAT, "%s: DT_VERNEED names '%s', which is not among "
                 "what it needs (DT_NEEDED)", unit->object.name, file);
            error_path(unit->object.name);
            return E64_BADFORMAT;
        }
        if (!object->symbols->defines_versions || version->weak
            || elf_defines_version(object->symbols, name, version->hash))
            continue;
        context->old(context->data, unit, i, object);
    }
    return E64_OK;
}

static e64_status resolve(struct resolving *resolving)
{
    struct link_unit *unit = resolving->unit;
    const struct link_context *context = resolving->context;
    e64_status status = check_versions(unit, context);
    if (status == E64_OK)
        status = read_tables(resolving);
    if (status == E64_OK)
        status = resolving_define(resolving);
    if (status == E64_OK && resolving->undefined && context->missing)
        status = each_relocation(resolving, tell_undefined);
    if (status == E64_OK && resolving->static_tls)
        status = each_relocation(resolving, place_storage);
    if (status == E64_OK)
        status = link_bindings_trim(&unit->bindings);
    return status;
}

e64_status link_resolve(struct link_unit *unit, const struct link_scope *scope,
                        const struct link_context *context)
{
    struct resolving resolving = { .unit = unit, .scope = scope,
                                   .context = context };
    lazy_decide(unit);
    e64_status status = resolve(&resolving);
    memory_free(resolving.kinds[0]);
    memory_free(resolving.kinds[1]);
    return status;
}

