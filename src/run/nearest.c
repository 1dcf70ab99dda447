// Finds the symbol that an address belongs to.

#include "nearest.h"

#include "../elf/spans.h"
#include "objects.h"

bool nearest_symbol(const struct elf_object *object, uint64_t vaddr, bool open,
                    struct nearest *nearest)
{
    const struct elf_symbols *statics = statics_of(plugin_of(object));
    Elf64_Sym symbol;
    uint32_t index;
    nearest->symbols = object->symbols;
    nearest->index = elf_symbol_at(object->symbols, elf_symbols_each, vaddr,
                                   open, &nearest->symbol);
    index = statics ? elf_symbol_at(statics, statics_each, vaddr, open, &symbol)
                    : 0;
    if (index && (!nearest->index
                  || symbol.st_value > nearest->symbol.st_value))
        *nearest = (struct nearest){ statics, index, symbol };
    return nearest->index != 0;
}
