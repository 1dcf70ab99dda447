// dladdr and dladdr1, as plugins see them.

#include "dl.h"

#include "../host/forward.h"
#include "nearest.h"

// By glibc's rule, but that of a plugin which is made of objects its static
// functions are known, too.
static void describe(const e64_plugin *plugin, uintptr_t address,
                     Dl_info *info, const Elf64_Sym **symbol)
{
    const struct elf_object *object = &plugin->unit.object;
    struct nearest nearest;
    *info = (Dl_info){ .dli_fname = plugin->map.l_name,
                       .dli_fbase = (void *)object->start };
    *symbol = NULL;
    if (!nearest_symbol(object, address - object->bias, false, &nearest))
        return;
    info->dli_sname = elf_string(nearest.symbols, nearest.symbol.st_name);
    info->dli_saddr = (void *)elf_symbol_value(object, &nearest.symbol);
    *symbol = (const Elf64_Sym *)nearest.symbols->symtab.data + nearest.index;
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
