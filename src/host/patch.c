// Points the host's imports elsewhere.

#include "patch.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "../mapping.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

struct slots {
    const struct host_module *module;
    const char *name;
    void (*visit)(void *data, void **slot);
    void *data;
};

// Relocations of a function that is imported are words that hold its address,
// so the type need not be looked at.
static void visit_table(const struct slots *slots, uintptr_t table,
                        uint64_t size)
{
    const struct host_module *module = slots->module;
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= size;
         at += sizeof(Elf64_Rela)) {
        Elf64_Rela entry;
        Elf64_Sym symbol;
        memcpy(&entry, (const char *)table + at, sizeof entry);
        uint32_t index = (uint32_t)ELF64_R_SYM(entry.r_info);
        if (index && elf_symbol(&module->symbols, index, &symbol)
            && symbol.st_shndx == SHN_UNDEF
            && strcmp(elf_string(&module->symbols, symbol.st_name),
                      slots->name) == 0)
            slots->visit(slots->data, (void **)(module->object.bias
                                                + entry.r_offset));
    }
}

// Imports stand before all that DT_GNU_HASH covers, but for functions whose
// address an executable gives. They are few, and relocations many. A table that
// covers nothing says that it begins with the first symbol (GNU ld).
static bool may_import(const struct host_module *module, const char *name)
{
    const struct elf_symbols *symbols = &module->symbols;
    if (symbols->gnu_buckets && symbols->gnu_offset <= 1)
        return true;
    uint32_t count = symbols->gnu_buckets ? symbols->gnu_offset
                                          : symbols->count;
    struct elf_name hashed = elf_name(name);
    Elf64_Sym symbol;
    for (uint32_t i = 1; i < count && elf_symbol(symbols, i, &symbol); i++)
        if (symbol.st_shndx == SHN_UNDEF
            && strcmp(elf_string(symbols, symbol.st_name), name) == 0)
            return true;
    return elf_find(symbols, &hashed, ELF_WANT_ANY, &symbol);
}

void host_slots(const struct host_module *module, const char *name,
                void (*visit)(void *data, void **slot), void *data)
{
    if (!may_import(module, name))
        return;
    const struct slots slots = { module, name, visit, data };
    uint64_t rela = 0, rela_size = 0, jmprel = 0, jmprel_size = 0;
    for (const Elf64_Dyn *entry = module->dynamic;
         entry && entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_RELA: rela = entry->d_un.d_ptr; break;
        case DT_RELASZ: rela_size = entry->d_un.d_val; break;
        case DT_JMPREL: jmprel = entry->d_un.d_ptr; break;
        case DT_PLTRELSZ: jmprel_size = entry->d_un.d_val; break;
        }
    }
    visit_table(&slots, host_address(module, rela), rela ? rela_size : 0);
    visit_table(&slots, host_address(module, jmprel),
                jmprel ? jmprel_size : 0);
}

int host_expected_protection(const struct host_module *module,
                             uintptr_t address)
{
    return address >= module->sealed_start && address < module->sealed_end
         ? PROT_READ : PROT_READ | PROT_WRITE;
}

int host_protection(uintptr_t address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int protection = -1;
    while (maps && protection < 0 && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char flags[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, flags) == 3
            && address >= start && address < end)
            protection = (flags[0] == 'r' ? PROT_READ : 0)
                       | (flags[1] == 'w' ? PROT_WRITE : 0)
                       | (flags[2] == 'x' ? PROT_EXEC : 0);
    }
    if (maps)
        fclose(maps);
    return protection;
}

// May the page be written to? The kernel is asked to make it ready for that,
// since Linux 5.14. False where it does not know.
static bool is_ready(void *page, uintptr_t page_size)
{
    return madvise(page, page_size, MADV_POPULATE_WRITE) == 0;
}

static bool can_be_asked(uintptr_t page_size)
{
    char here;
    return is_ready((void *)((uintptr_t)&here & ~(page_size - 1)), page_size);
}

// The page's protection, where it is as expected without reading
// /proc/self/maps, which takes long.
static int protection_of(void *page, uintptr_t page_size, int expected)
{
    if (is_ready(page, page_size))
        return PROT_READ | PROT_WRITE;
    if (expected == PROT_READ && can_be_asked(page_size))
        return PROT_READ;
    int protection = host_protection((uintptr_t)page);
    return protection < 0 ? expected : protection;
}

e64_status host_patch(void **slot, void *value, int expected)
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)slot & ~(page_size - 1));
    int protection = protection_of(page, page_size, expected);
    bool writable = protection & PROT_WRITE;
    if (!writable
        && mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0)
        return fail_system("cannot change a slot of the host at %p",
                           (void *)slot);
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (!writable && !mapping_seal(page, page_size, protection))
        return fail_system("cannot protect a slot of the host at %p again",
                           (void *)slot);
    return E64_OK;
}
