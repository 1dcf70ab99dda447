// Finds the definition of each import, by ld.so's rules: the first one in the
// scope, with ld.so's exceptions, and with what the room above has to say.

#include "resolving.h"

#include "../error.h"
#include "../memory.h"
#include "find.h"
#include "reloc.h"

// Imports whose names are to be looked up, ascending by symbol.
struct line {
    struct find_scope scope;
    struct elf_query queries[ELF_BATCH];
    uint32_t symbols[ELF_BATCH];
    uint32_t count;
    uint32_t entries; // that it and what came before it will have
};

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

bool link_runner_up(const struct link_unit *unit,
                    const struct link_scope *scope,
                    const struct link_binding *binding,
                    const struct elf_object **object, uint32_t *definition)
{
    const struct elf_symbols *symbols = unit->object.symbols;
    struct elf_query found;
    Elf64_Sym symbol;
    if (!binding->definer || !elf_symbol(symbols, binding->symbol, &symbol)
        || binds_locally(&symbol))
        return false;
    struct elf_name name = elf_symbol_name(symbols, binding->symbol, &symbol);
    if (!find_one(scope, &name, want_of(binding->class), binding->definer,
                  &found))
        return false;
    *object = found.object;
    *definition = found.index;
    return true;
}

// ----------------------------------------------------- binding one import ---

static void *override(const struct link_context *context,
                      const struct elf_query *found)
{
    return found->object->host
         ? context->override(found->name.text, found->name.gnu_hash) : NULL;
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
                         const Elf64_Sym *symbol, enum link_class class,
                         struct link_binding *binding)
{
    struct link_unit *unit = resolving->unit;
    const struct link_context *context = resolving->context;
    const struct elf_symbols *symbols = unit->object.symbols;
    if (!context->decide || binding->definer == &unit->object)
        return E64_OK;
    if (class == LINK_CLASS_DEFINED && !binding->definer
        && link_wants(&unit->bindings, index, LINK_CLASS_ANY)) {
        struct link_binding other;
        link_binding(unit, index, LINK_CLASS_ANY, &other);
        if (other.via == LINK_VIA_HOOK) {
            *binding = other;
            binding->class = LINK_CLASS_DEFINED;
            return E64_OK;
        }
    }
    const e64_import import = {
        .struct_size = sizeof import,
        .name = elf_string(symbols, symbol->st_name),
        .version = version_text(symbols, index),
        .kind = import_kind(resolving->kinds[class][index]),
        .weak = ELF64_ST_BIND(symbol->st_info) == STB_WEAK,
    };
    e64_status status = context->decide(context->data, unit, &import, binding);
    binding->class = (uint8_t)class;
    return status;
}

static bool is_protected(const Elf64_Sym *symbol)
{
    return ELF64_ST_VISIBILITY(symbol->st_other) == STV_PROTECTED;
}

static bool is_unique(const struct elf_query *found)
{
    return ELF64_ST_BIND(found->symbol.st_info) == STB_GNU_UNIQUE;
}

static void find_own(const struct resolving *resolving, uint32_t index,
                     const Elf64_Sym *symbol, struct elf_query *found)
{
    found->object = &resolving->unit->object;
    found->index = index;
    found->symbol = *symbol;
}

// Protected: its own definition, unless an executable's PLT entry is the
// address that all others know the function by. What is unique is entered
// before.
static void protect(const struct resolving *resolving, uint32_t index,
                    const Elf64_Sym *symbol, enum link_class class,
                    struct elf_query *found)
{
    const struct elf_object *self = &resolving->unit->object;
    struct elf_query defined;
    if (!is_protected(symbol) || !found->object || found->object == self
        || is_unique(found))
        return;
    if (class == LINK_CLASS_DEFINED
        || (find_one(resolving->scope, &found->name, ELF_WANT_DEFINED, NULL,
                     &defined) && defined.object != self))
        find_own(resolving, index, symbol, found);
}

static void take(const struct elf_query *found, struct link_binding *binding)
{
    binding->definer = found->object;
    binding->definition = found->index;
    binding->type = ELF64_ST_TYPE(found->symbol.st_info);
    binding->size = found->symbol.st_size;
    binding->value = elf_symbol_value(found->object, &found->symbol);
}

// The one that counts for all; its own if that is protected, which ld.so finds
// out when it has entered the first one.
static e64_status bind_unique(struct resolving *resolving, uint32_t index,
                              const Elf64_Sym *symbol,
                              struct link_binding *binding)
{
    const struct link_context *context = resolving->context;
    const char *name = elf_string(resolving->unit->object.symbols,
                                  symbol->st_name);
    e64_status status = context->unique(context->data, name, binding);
    binding->unique = true;
    if (status == E64_OK && is_protected(symbol)
        && binding->definer != &resolving->unit->object) {
        struct elf_query own;
        find_own(resolving, index, symbol, &own);
        take(&own, binding);
        binding->unique = false;
    }
    return status;
}

// Takes over what was found, and asks who else has a say in it.
static e64_status bind(struct resolving *resolving, uint32_t index,
                       const Elf64_Sym *symbol, enum link_class class,
                       const struct elf_query *found,
                       struct link_binding *binding)
{
    *binding = (struct link_binding){ .symbol = index,
                                      .class = (uint8_t)class };
    if (!found->object) {
        e64_status status = decide(resolving, index, symbol, class, binding);
        binding->undefined = true;
        resolving->undefined |= !binding->definer
                             && ELF64_ST_BIND(symbol->st_info) != STB_WEAK;
        return status;
    }
    take(found, binding);
    void *address = override(resolving->context, found);
    if (address) {
        binding->value = (uintptr_t)address;
        binding->type = STT_FUNC;
        binding->via = LINK_VIA_OVERRIDE;
    }
    if (is_unique(found) && !binds_locally(symbol)) {
        e64_status status = bind_unique(resolving, index, symbol, binding);
        if (status != E64_OK)
            return status;
    }
    return decide(resolving, index, symbol, class, binding);
}

// ---------------------------------------------------- binding all of them ---

// Is what was found what counts, and its definer all that there is to say?
static bool is_settled(const struct resolving *resolving,
                       const struct elf_query *found, const Elf64_Sym *symbol)
{
    return found->object && !resolving->context->decide
        && !is_protected(symbol) && !is_unique(found)
        && !override(resolving->context, found);
}

// Few define nearly all, and take turns.
static e64_status enter(struct resolving *resolving,
                        const struct elf_query *found)
{
    const struct elf_object *definer = found->object;
    struct numbered *numbered = &resolving->numbered[
        (uintptr_t)definer * 0x9e3779b97f4a7c15 >> (64 - NUMBERED_BITS)];
    if (numbered->definer != definer) {
        e64_status status = link_number(resolving->unit, definer,
                                        &numbered->number);
        if (status != E64_OK)
            return status;
        numbered->definer = definer;
    }
    return link_enter_found(resolving->unit, definer, numbered->number,
                            found->index, &found->symbol);
}

static e64_status add(struct resolving *resolving, uint32_t index,
                      const Elf64_Sym *symbol, enum link_class class,
                      struct elf_query *found)
{
    struct link_binding binding;
    protect(resolving, index, symbol, class, found);
    e64_status status = bind(resolving, index, symbol, class, found, &binding);
    return status == E64_OK ? link_enter(resolving->unit, &binding) : status;
}

// What was found for any use is found for each, if it is a definition.
static void narrow(const struct resolving *resolving, struct elf_query *query)
{
    if (query->object && query->symbol.st_shndx != SHN_UNDEF)
        return;
    const struct elf_name name = query->name;
    find_one(resolving->scope, &name, ELF_WANT_DEFINED, NULL, query);
}

static e64_status add_query(struct resolving *resolving, uint32_t index,
                            struct elf_query *query)
{
    struct link_unit *unit = resolving->unit;
    bool any = link_wants(&unit->bindings, index, LINK_CLASS_ANY);
    bool defined = link_wants(&unit->bindings, index, LINK_CLASS_DEFINED);
    Elf64_Sym symbol;
    elf_symbol(unit->object.symbols, index, &symbol);
    e64_status status = E64_OK;
    if (is_settled(resolving, query, &symbol)
        && (!defined || query->symbol.st_shndx != SHN_UNDEF)) {
        for (int uses = any + defined; status == E64_OK && uses; uses--)
            status = enter(resolving, query);
        return status;
    }
    struct elf_query first = *query;
    if (any)
        status = add(resolving, index, &symbol, LINK_CLASS_ANY, &first);
    if (any && defined)
        narrow(resolving, query);
    if (status == E64_OK && defined)
        status = add(resolving, index, &symbol, LINK_CLASS_DEFINED, query);
    return status;
}

static e64_status look_up(struct resolving *resolving, struct line *line)
{
    e64_status status = E64_OK;
    find_all(&line->scope, line->queries, line->count);
    for (uint32_t i = 0; status == E64_OK && i < line->count; i++)
        status = add_query(resolving, line->symbols[i], &line->queries[i]);
    line->count = 0;
    return status;
}

static e64_status put_in_line(struct resolving *resolving, struct line *line,
                              uint32_t index, const Elf64_Sym *symbol)
{
    const struct link_unit *unit = resolving->unit;
    struct link_first *first
        = &unit->bindings.first[unit->bindings.words[index / 64].first];
    bool any = link_wants(&unit->bindings, index, LINK_CLASS_ANY);
    bool defined = link_wants(&unit->bindings, index, LINK_CLASS_DEFINED);
    first->first[index % 64] = (uint8_t)(line->entries - first->base);
    line->entries += any + defined;
    line->symbols[line->count] = index;
    struct elf_query *query = &line->queries[line->count++];
    query->name = elf_symbol_name(unit->object.symbols, index, symbol);
    query->want = want_of(any ? LINK_CLASS_ANY : LINK_CLASS_DEFINED);
    query->object = NULL;
    return line->count == ELF_BATCH ? look_up(resolving, line) : E64_OK;
}

// Would a lookup that comes to the plugin itself end there, with this symbol?
static bool defines(const struct link_unit *unit, uint32_t index,
                    const Elf64_Sym *symbol, uint32_t *hash)
{
    return symbol->st_shndx != SHN_UNDEF
        && ELF64_ST_BIND(symbol->st_info) != STB_GNU_UNIQUE
        && elf_exported(symbol) && elf_is_definition(symbol)
        && elf_own_hash(unit->object.symbols, index, hash);
}

// What will have to be read of 64 symbols.
static void fetch_names(const struct link_unit *unit, uint32_t from)
{
    const struct link_bindings *bindings = &unit->bindings;
    const struct elf_symbols *symbols = unit->object.symbols;
    if (from >= bindings->symbols)
        return;
    const struct link_word *word = &bindings->words[from / 64];
    Elf64_Sym symbol;
    for (uint64_t bits = word->wanted[0] | word->wanted[1]; bits;
         bits &= bits - 1) {
        uint32_t index = from + (uint32_t)__builtin_ctzll(bits);
        if (!elf_symbol(symbols, index, &symbol)
            || symbol.st_shndx != SHN_UNDEF)
            continue;
        const char *name = elf_string(symbols, symbol.st_name);
        __builtin_prefetch(name);
        __builtin_prefetch(name + 63);
    }
}

// The next entries will be those of a word.
static e64_status add_first(struct link_unit *unit, struct link_word *word,
                            uint32_t entries)
{
    struct link_bindings *bindings = &unit->bindings;
    e64_status status = memory_grow(&bindings->first, bindings->first_count,
                                    &bindings->first_room,
                                    sizeof *bindings->first);
    if (status == E64_OK) {
        word->first = bindings->first_count++;
        bindings->first[word->first].base = entries;
    }
    return status;
}

// 64 symbols: those of the plugin's own that nothing before it may define are
// settled without a look at their names.
static e64_status bind_word(struct resolving *resolving, struct line *line,
                            uint32_t from)
{
    struct link_unit *unit = resolving->unit;
    struct link_word *word = &unit->bindings.words[from / 64];
    uint64_t left = word->wanted[0] | word->wanted[1], own = 0;
    uint32_t hashes[64] = { 0 }, count = 0;
    Elf64_Sym symbols[64];
    for (uint64_t bits = left; bits; bits &= bits - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(bits);
        elf_symbol(unit->object.symbols, from + i, &symbols[i]);
        if (symbols[i].st_name >= unit->object.symbols->strtab.size)
            return resolving_bad(unit, "a symbol's st_name lies outside "
                                 "DT_STRTAB");
        if (binds_locally(&symbols[i]))
            word->own |= 1ull << i;
        else if (line->scope.self < line->scope.count
                 && defines(unit, from + i, &symbols[i], &hashes[count]))
            own |= 1ull << i, count++;
    }
    uint64_t disputed = find_disputed(&line->scope, hashes, count);
    for (uint64_t bits = own; bits; bits &= bits - 1, disputed >>= 1)
        if (!(disputed & 1))
            word->own |= bits & -bits;
    left &= ~word->own;
    e64_status status = left ? add_first(unit, word, line->entries) : E64_OK;
    for (; status == E64_OK && left; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        status = put_in_line(resolving, line, from + i, &symbols[i]);
    }
    return status;
}

static e64_status bind_words(struct resolving *resolving, struct line *line)
{
    struct link_unit *unit = resolving->unit;
    const struct link_bindings *bindings = &unit->bindings;
    e64_status status = link_bindings_new(unit);
    if (status != E64_OK)
        return status;
    status = find_scope_new(resolving->scope, &unit->object,
                            bindings->imports - bindings->undefined,
                            &line->scope);
    fetch_names(unit, 0);
    for (uint32_t i = 0; status == E64_OK && i < bindings->symbols; i += 64) {
        fetch_names(unit, i + 64);
        status = bind_word(resolving, line, i);
    }
    if (status == E64_OK)
        status = look_up(resolving, line);
    find_scope_free(&line->scope);
    return status;
}

e64_status resolving_define(struct resolving *resolving)
{
    struct line line;
    line.count = line.entries = 0;
    return bind_words(resolving, &line);
}

// ------------------------------------------------------- for first calls ---

e64_status link_bind(struct link_unit *unit, const struct link_scope *scope,
                     const struct link_context *context, uint32_t symbol,
                     struct link_binding *binding)
{
    struct resolving resolving = { .unit = unit, .scope = scope,
                                   .context = context };
    const struct elf_object *self = &unit->object;
    struct elf_query found = { .index = symbol, .object = self };
    elf_symbol(self->symbols, symbol, &found.symbol);
    const Elf64_Sym read = found.symbol;
    found.name = elf_symbol_name(self->symbols, symbol, &read);
    // What is protected is not looked up here, nor entered as unique.
    if (binds_locally(&read) || is_protected(&read)) {
        *binding = (struct link_binding){ .symbol = symbol,
                                          .class = LINK_CLASS_DEFINED };
        take(&found, binding);
        return E64_OK;
    }
    struct elf_name name = found.name;
    find_one(scope, &name, ELF_WANT_DEFINED, NULL, &found);
    return bind(&resolving, symbol, &read, LINK_CLASS_DEFINED, &found, binding);
}
