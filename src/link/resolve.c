// Finds the definition of each import, by ld.so's rules. Nothing is written to
// the plugin and nothing of it runs.

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "reloc.h"
#include "storage.h"

struct resolving {
    struct link_unit *unit;
    const struct link_scope *scope;
    const struct link_context *context;
};

static e64_status bad(const struct link_unit *unit, const char *what)
{
    fail(E64_BADFORMAT, "%s: %s", unit->object.name, what);
    error_path(unit->object.name);
    return E64_BADFORMAT;
}

struct definition {
    const struct elf_object *object; // NULL: none
    uint32_t index;
    Elf64_Sym symbol;
};

// The first one, but for that of `but`, which is NULL for none.
static bool search(const struct link_scope *scope, const struct elf_name *name,
                   enum elf_want want, const struct elf_object *but,
                   struct definition *found)
{
    for (uint32_t list = 0; list < scope->count; list++) {
        for (uint32_t i = 0; i < scope->counts[list]; i++) {
            const struct elf_object *object = scope->lists[list][i];
            if (scope->skip && scope->skip(scope->data, object))
                continue;
            uint32_t index = elf_find(object->symbols, name, want,
                                      &found->symbol);
            if (index && object != but) {
                found->object = object;
                found->index = index;
                return true;
            }
        }
    }
    found->object = NULL;
    return false;
}

// Does a reference bind to its own plugin whatever others define? (gABI,
// "Symbol Visibility")
static bool binds_locally(const Elf64_Sym *symbol)
{
    unsigned char visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    return ELF64_ST_BIND(symbol->st_info) == STB_LOCAL
        || visibility == STV_HIDDEN || visibility == STV_INTERNAL;
}

static enum elf_want want_of(enum link_class class)
{
    return class == LINK_CLASS_DEFINED ? ELF_WANT_DEFINED : ELF_WANT_ANY;
}

enum link_class link_import_class(const struct link_bindings *bindings,
                                  uint32_t import)
{
    uint32_t symbol = bindings->all[import].symbol;
    return bindings->index[LINK_CLASS_DEFINED][symbol] == import + 1
         ? LINK_CLASS_DEFINED : LINK_CLASS_ANY;
}

bool link_runner_up(const struct link_unit *unit,
                    const struct link_scope *scope, uint32_t import,
                    const struct elf_object **object, uint32_t *definition)
{
    const struct elf_symbols *symbols = unit->object.symbols;
    const struct link_binding *binding = &unit->bindings.all[import];
    struct definition found;
    Elf64_Sym symbol;
    if (!binding->definer || !elf_symbol(symbols, binding->symbol, &symbol)
        || binds_locally(&symbol))
        return false;
    struct elf_name name = elf_symbol_name(symbols, binding->symbol, &symbol);
    if (!search(scope, &name, want_of(link_import_class(&unit->bindings,
                                                        import)),
                binding->definer, &found))
        return false;
    *object = found.object;
    *definition = found.index;
    return true;
}

static void find_definition(const struct resolving *resolving, uint32_t index,
                            const Elf64_Sym *symbol, enum link_class class,
                            struct definition *found)
{
    const struct elf_object *self = &resolving->unit->object;
    const struct definition own = { self, index, *symbol };
    if (binds_locally(symbol)) {
        *found = own;
        return;
    }
    struct elf_name name = elf_symbol_name(self->symbols, index, symbol);
    search(resolving->scope, &name, want_of(class), NULL, found);
    if (ELF64_ST_VISIBILITY(symbol->st_other) != STV_PROTECTED
        || !found->object || found->object == self)
        return;
    // Protected: its own definition, unless an executable's PLT entry is the
    // address that all others know the function by.
    struct definition defined;
    if (class == LINK_CLASS_DEFINED
        || (search(resolving->scope, &name, ELF_WANT_DEFINED, NULL, &defined)
            && defined.object != self))
        *found = own;
}

static void *override(const struct link_context *context,
                      const struct elf_object *definer, const char *name)
{
    return definer->host ? context->override(name) : NULL;
}

static const char *version_text(const struct elf_symbols *symbols,
                                uint32_t index)
{
    const struct elf_version *version = elf_symbol_version(symbols, index);
    return version ? elf_string(symbols, version->name) : NULL;
}

static e64_import_kind import_kind(enum reloc_kind kind)
{
    switch (kind) {
    case RELOC_JUMP: return E64_IMPORT_CALL;
    case RELOC_SIZE: return E64_IMPORT_SIZE;
    case RELOC_TLS:
    case RELOC_STATIC_TLS:
    case RELOC_DESCRIPTOR: return E64_IMPORT_TLS;
    default: return E64_IMPORT_ADDRESS;
    }
}

// What leaves the unit, or leads nowhere, is the policy's to decide. What it
// said of another relocation for the same symbol holds.
static e64_status decide(struct resolving *resolving, uint32_t index,
                         const Elf64_Sym *symbol, enum reloc_kind kind,
                         enum link_class class, struct link_binding *binding)
{
    struct link_unit *unit = resolving->unit;
    const struct link_context *context = resolving->context;
    const struct elf_symbols *symbols = unit->object.symbols;
    if (!context->decide || binding->definer == &unit->object)
        return E64_OK;
    const struct link_binding *other = link_binding(&unit->bindings, index,
        class == LINK_CLASS_ANY ? LINK_CLASS_DEFINED : LINK_CLASS_ANY);
    if (other && other->via == LINK_VIA_HOOK && !binding->definer) {
        *binding = *other;
        return E64_OK;
    }
    const e64_import import = {
        .struct_size = sizeof import,
        .name = elf_string(symbols, symbol->st_name),
        .version = version_text(symbols, index),
        .kind = import_kind(kind),
        .weak = ELF64_ST_BIND(symbol->st_info) == STB_WEAK,
    };
    return context->decide(context->data, unit, &import, binding);
}

static e64_status bind(struct resolving *resolving, uint32_t index,
                       const Elf64_Sym *symbol, enum reloc_kind kind,
                       enum link_class class, struct link_binding *binding)
{
    const struct link_context *context = resolving->context;
    const char *name = elf_string(resolving->unit->object.symbols,
                                  symbol->st_name);
    struct definition found;
    find_definition(resolving, index, symbol, class, &found);
    *binding = (struct link_binding){ .symbol = index };
    if (!found.object) {
        e64_status status = decide(resolving, index, symbol, kind, class,
                                   binding);
        if (status == E64_OK && !binding->definer && context->missing
            && ELF64_ST_BIND(symbol->st_info) != STB_WEAK)
            context->missing(context->data, resolving->unit, index);
        return status;
    }
    binding->definer = found.object;
    binding->definition = found.index;
    binding->type = ELF64_ST_TYPE(found.symbol.st_info);
    binding->size = found.symbol.st_size;
    binding->value = elf_symbol_value(found.object, &found.symbol);
    void *address = override(context, found.object, name);
    if (address) {
        binding->value = (uintptr_t)address;
        binding->type = STT_FUNC;
        binding->via = LINK_VIA_OVERRIDE;
    }
    if (ELF64_ST_BIND(found.symbol.st_info) == STB_GNU_UNIQUE
        && !binds_locally(symbol)) {
        binding->unique = true;
        e64_status status = context->unique(context->data, name, binding);
        if (status != E64_OK)
            return status;
    }
    return decide(resolving, index, symbol, kind, class, binding);
}

static e64_status read_symbol(const struct link_unit *unit, uint32_t index,
                              Elf64_Sym *symbol)
{
    if (index >= unit->bindings.symbols
        || !elf_symbol(unit->object.symbols, index, symbol))
        return bad(unit, "a relocation's symbol index (r_info) lies outside "
                   "DT_SYMTAB");
    if (symbol->st_name >= unit->object.symbols->strtab.size)
        return bad(unit, "a symbol's st_name lies outside DT_STRTAB");
    return E64_OK;
}

static e64_status add(struct resolving *resolving, uint32_t index,
                      enum reloc_kind kind, enum link_class class)
{
    struct link_bindings *bindings = &resolving->unit->bindings;
    Elf64_Sym symbol;
    e64_status status = read_symbol(resolving->unit, index, &symbol);
    if (status != E64_OK || bindings->index[class][index])
        return status;
    status = memory_grow(&bindings->all, bindings->count, &bindings->room,
                         sizeof *bindings->all);
    if (status == E64_OK)
        status = bind(resolving, index, &symbol, kind, class,
                      &bindings->all[bindings->count]);
    if (status == E64_OK)
        bindings->index[class][index] = ++bindings->count;
    return status;
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
        && read_symbol(unit, symbol, &read) == E64_OK;
}

static e64_status resolve_table(struct resolving *resolving, struct view table)
{
    for (uint64_t at = 0; at < table.size; at += sizeof(Elf64_Rela)) {
        uint64_t info = load64(table.data + at + 8);
        uint32_t type = ELF64_R_TYPE(info);
        uint32_t symbol = (uint32_t)ELF64_R_SYM(info);
        e64_status status = E64_OK;
        enum reloc_kind kind = reloc_kind(type);
        if (reloc_is_for_objects(type) && !resolving->unit->made)
            kind = RELOC_UNKNOWN;
        switch (kind) {
        case RELOC_NONE:
        case RELOC_RELATIVE:
        case RELOC_IRELATIVE:
            break;
        case RELOC_SYMBOL:
        case RELOC_SIZE:
            if (symbol)
                status = add(resolving, symbol, kind, LINK_CLASS_ANY);
            break;
        case RELOC_JUMP:
            if (symbol && !waits(resolving->unit, table.data + at, symbol))
                status = add(resolving, symbol, kind, LINK_CLASS_DEFINED);
            break;
        case RELOC_TLS:
            if (symbol)
                status = add(resolving, symbol, kind, LINK_CLASS_DEFINED);
            break;
        case RELOC_COPY:
            status = refuse(resolving->unit, type, symbol, "only "
                            "executables have copies of others' data; link it "
                            "with -shared");
            break;
        case RELOC_STATIC_TLS:
            if (symbol)
                status = add(resolving, symbol, kind, LINK_CLASS_DEFINED);
            if (status == E64_OK)
                status = storage_place(resolving->unit, symbol,
                                       resolving->context->absent != NULL);
            break;
        case RELOC_DESCRIPTOR:
            resolving->unit->descriptor_room++;
            if (symbol)
                status = add(resolving, symbol, kind, LINK_CLASS_DEFINED);
            break;
        case RELOC_UNKNOWN:
            status = refuse(resolving->unit, type, symbol, "x86-64 "
                            "shared objects have no such relocation");
            break;
        }
        if (status != E64_OK)
            return status;
    }
    return E64_OK;
}

// Each version that the file needs must be defined by the object that it names,
// if that has versions at all.
static e64_status check_versions(const struct link_unit *unit,
                                 const struct link_context *context)
{
    const struct elf_symbols *symbols = unit->object.symbols;
    for (uint32_t i = 0; i < symbols->version_count; i++) {
        const struct elf_version *version = &symbols->versions[i];
        const char *name = elf_string(symbols, version->name);
        const char *file = elf_string(symbols, version->file);
        // This one only says that ld.so must know DT_RELR; we do.
        if (!version->needed || strcmp(name, "GLIBC_ABI_DT_RELR") == 0)
            continue;
        const struct elf_object *object = context->find(context->data, file);
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

// The indexes are as long as the highest symbol that a relocation names.
static e64_status make_indexes(struct link_unit *unit)
{
    const struct view tables[] = { unit->image.relocations.rela,
                                   unit->image.relocations.jmprel };
    struct link_bindings *bindings = &unit->bindings;
    uint32_t symbols = 0;
    for (int i = 0; i < 2; i++) {
        for (uint64_t at = 0; at < tables[i].size; at += sizeof(Elf64_Rela)) {
            uint32_t symbol = load32(tables[i].data + at + 12);
            if (symbol >= symbols)
                symbols = symbol + 1;
        }
    }
    if (symbols > unit->image.symbols.count)
        symbols = unit->image.symbols.count;
    bindings->symbols = symbols;
    for (int class = 0; class < 2; class++) {
        bindings->index[class] = memory_array(symbols, sizeof(uint32_t));
        if (!bindings->index[class])
            return fail_memory(symbols * sizeof(uint32_t));
    }
    return E64_OK;
}

// The table stays as long as the plugin does.
static e64_status trim(struct link_bindings *bindings)
{
    if (bindings->count == bindings->room)
        return E64_OK;
    struct link_binding *all = memory_resize(bindings->all, bindings->count
                                             * sizeof *all);
    if (!all && bindings->count)
        return fail_memory(bindings->count * sizeof *all);
    bindings->all = all;
    bindings->room = bindings->count;
    return E64_OK;
}

e64_status link_resolve(struct link_unit *unit, const struct link_scope *scope,
                        const struct link_context *context)
{
    struct resolving resolving = { .unit = unit, .scope = scope,
                                   .context = context };
    lazy_decide(unit);
    e64_status status = check_versions(unit, context);
    if (status == E64_OK)
        status = make_indexes(unit);
    if (status == E64_OK)
        status = resolve_table(&resolving, unit->image.relocations.rela);
    if (status == E64_OK)
        status = resolve_table(&resolving, unit->image.relocations.jmprel);
    if (status == E64_OK)
        status = trim(&unit->bindings);
    return status;
}

e64_status link_bind(struct link_unit *unit, const struct link_scope *scope,
                     const struct link_context *context, uint32_t symbol,
                     struct link_binding *binding)
{
    struct resolving resolving = { .unit = unit, .scope = scope,
                                   .context = context };
    Elf64_Sym read = { 0 };
    elf_symbol(unit->object.symbols, symbol, &read);
    return bind(&resolving, symbol, &read, RELOC_JUMP, LINK_CLASS_DEFINED,
                binding);
}

void link_bindings_keep(struct link_bindings *bindings)
{
    for (int class = 0; class < 2; class++) {
        memory_free(bindings->index[class]);
        bindings->index[class] = NULL;
    }
    bindings->symbols = 0;
}

void link_bindings_free(struct link_bindings *bindings)
{
    memory_free(bindings->all);
    memory_free(bindings->index[0]);
    memory_free(bindings->index[1]);
    *bindings = (struct link_bindings){ 0 };
}
