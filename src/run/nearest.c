// Finds the symbol that an address belongs to.

#include "nearest.h"

#include "objects.h"

struct finding {
    const struct elf_symbols *symbols; // that are gone through
    uint64_t vaddr;
    bool open;
    struct nearest *nearest;
};

static int consider(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    const struct finding *finding = data;
    struct nearest *nearest = finding->nearest;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS
        || symbol->st_shndx == SHN_ABS || symbol->st_value > finding->vaddr)
        return 0;
    uint64_t distance = finding->vaddr - symbol->st_value;
    bool reaches = symbol->st_size ? distance < symbol->st_size
                                   : finding->open || distance == 0;
    if (reaches && (!nearest->index
                    || symbol->st_value > nearest->symbol.st_value))
        *nearest = (struct nearest){ finding->symbols, index, *symbol };
    return 0;
}

bool nearest_symbol(const struct elf_object *object, uint64_t vaddr, bool open,
                    struct nearest *nearest)
{
    struct finding finding = { object->symbols, vaddr, open, nearest };
    nearest->index = 0;
    elf_symbols_each(finding.symbols, consider, &finding);
    finding.symbols = statics_of(plugin_of(object));
    statics_each(finding.symbols, consider, &finding);
    return nearest->index != 0;
}
