// The table of what a plugin's imports are bound to.

#include "link.h"

#include "../memory.h"

// What a plugin's import of its own symbol comes to.
static void make_own(const struct link_unit *unit, uint32_t symbol,
                     uint32_t class, struct link_binding *binding)
{
    Elf64_Sym read = { 0 };
    elf_symbol(unit->object.symbols, symbol, &read);
    *binding = (struct link_binding){
        .definer = &unit->object,
        .symbol = symbol,
        .definition = symbol,
        .value = elf_symbol_value(&unit->object, &read),
        .size = read.st_size,
        .type = ELF64_ST_TYPE(read.st_info),
        .class = (uint8_t)class,
    };
}

bool link_binding(const struct link_unit *unit, uint32_t symbol,
                  enum link_class class, struct link_binding *binding)
{
    const struct link_bindings *bindings = &unit->bindings;
    if (!link_wants(bindings, symbol, class))
        return false;
    if (link_is_own(bindings, symbol))
        make_own(unit, symbol, class, binding);
    else
        *binding = *link_entry(bindings, symbol, class);
    return true;
}

bool link_next(const struct link_unit *unit, struct link_walk *walk,
               struct link_binding *binding)
{
    const struct link_bindings *bindings = &unit->bindings;
    while (walk->symbol < bindings->symbols) {
        const struct link_word *word = &bindings->words[walk->symbol / 64];
        uint32_t symbol = walk->symbol, class = walk->class;
        if (!((word->wanted[0] | word->wanted[1]) >> symbol % 64)) {
            walk->symbol = (symbol / 64 + 1) * 64;
            continue;
        }
        walk->class = !class;
        walk->symbol += class;
        if (!link_wants(bindings, symbol, class))
            continue;
        if (link_is_own(bindings, symbol))
            make_own(unit, symbol, class, binding);
        else
            *binding = bindings->all[walk->entry++];
        return true;
    }
    return false;
}

bool link_imports(const struct link_unit *unit, uint32_t symbol)
{
    return link_wants(&unit->bindings, symbol, LINK_CLASS_ANY)
        || link_wants(&unit->bindings, symbol, LINK_CLASS_DEFINED);
}

void link_bindings_keep(struct link_bindings *bindings)
{
    memory_free(bindings->first);
    bindings->first = NULL;
}

void link_bindings_free(struct link_bindings *bindings)
{
    memory_free(bindings->all);
    memory_free(bindings->words);
    memory_free(bindings->first);
    *bindings = (struct link_bindings){ 0 };
}
