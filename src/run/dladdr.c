// dladdr and dladdr1, as plugins see them.

#include "dl.h"

#include <string.h>

#include "../host/forward.h"
#include "objects.h"

// By glibc's rule: of the symbols that others may bind to, the one with the
// highest address whose extent holds the address; one without a size has
// nothing but its own address.
struct nearest {
    uint64_t vaddr;
    uint32_t index; // 0: none
    Elf64_Sym symbol;
};

static int consider(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct nearest *nearest = data;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS
        || symbol->st_shndx == SHN_ABS || nearest->vaddr < symbol->st_value)
        return 0;
    uint64_t distance = nearest->vaddr - symbol->st_value;
    if (distance && distance >= symbol->st_size)
        return 0;
    if (nearest->index && symbol->st_value <= nearest->symbol.st_value)
        return 0;
    nearest->index = index;
    nearest->symbol = *symbol;
    return 0;
}

// glibc knows what is exported alone; of a plugin that is made of objects its
// static functions are known, too.
static void consider_static(void *data, uint32_t index,
                            const Elf64_Sym *symbol)
{
    consider(data, index, symbol);
}

static void describe(const e64_plugin *plugin, uintptr_t address,
                     Dl_info *info, const Elf64_Sym **symbol)
{
    const struct elf_object *object = &plugin->unit.object;
    struct nearest nearest = { .vaddr = address - object->bias };
    *symbol = NULL;
    elf_symbols_each(object->symbols, consider, &nearest);
    const Elf64_Sym exported = nearest.symbol;
    statics_each(plugin, consider_static, &nearest);
    const struct elf_symbols *symbols
        = memcmp(&exported, &nearest.symbol, sizeof exported) == 0
        ? object->symbols : &plugin->objects->statics;
    *info = (Dl_info){ .dli_fname = plugin->map.l_name,
                       .dli_fbase = (void *)object->start };
    *symbol = NULL;
    if (!nearest.index)
        return;
    info->dli_sname = elf_string(symbols, nearest.symbol.st_name);
    info->dli_saddr = (void *)elf_symbol_value(object, &nearest.symbol);
    *symbol = (const Elf64_Sym *)symbols->symtab.data + nearest.index;
}

int dl_addr1(const void *address, Dl_info *info, void **extra, int flags,
             e64_plugin *caller)
{
    const Elf64_Sym *symbol;
    e64_plugin *plugin = plugin_at((uintptr_t)address);
    (void)caller;
    if (!plugin)
        return host_glibc()->dladdr1(address, info, extra, flags);
    describe(plugin, (uintptr_t)address, info, &symbol);
    if (flags == RTLD_DL_SYMENT)
        *extra = (void *)symbol;
    else if (flags == RTLD_DL_LINKMAP)
        *extra = &plugin->map;
    plugin_drop(plugin);
    return 1;
}

int dl_addr(const void *address, Dl_info *info, e64_plugin *caller)
{
    return dl_addr1(address, info, NULL, 0, caller);
}
