// Reads one object that glibc has mapped, from its program headers in memory.

#include "host.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "../memory.h"

// What the dynamic section names. glibc has relocated some of the addresses,
// unless the section is read-only.
struct tables {
    uint64_t strtab, strsz, symtab, hash, gnu_hash, versym, verneed, verdef;
    uint64_t soname;
    bool has_soname;
};

static void measure(struct host_module *module, const struct dl_phdr_info *info)
{
    struct elf_object *object = &module->object;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    object->start = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        uintptr_t end = start + header->p_memsz;
        if (header->p_type == PT_GNU_RELRO) {
            module->sealed_start = start & ~(page - 1);
            module->sealed_end = end & ~(page - 1);
        }
        if (header->p_type != PT_LOAD || header->p_memsz == 0)
            continue;
        if (start < object->start)
            object->start = start;
        if (end > object->end)
            object->end = end;
    }
}

// The memory from an address of the dynamic section to the end of its segment.
static struct view table_at(const struct dl_phdr_info *info, uint64_t pointer)
{
    for (int pass = 0; pass < 2; pass++) {
        uintptr_t address = pass ? info->dlpi_addr + pointer : pointer;
        for (int i = 0; i < info->dlpi_phnum; i++) {
            const Elf64_Phdr *header = &info->dlpi_phdr[i];
            uintptr_t start = info->dlpi_addr + header->p_vaddr;
            if (header->p_type == PT_LOAD && address >= start
                && address - start < header->p_memsz)
                return (struct view){ (const uint8_t *)address,
                                      header->p_memsz - (address - start) };
        }
    }
    return (struct view){ 0 };
}

static const Elf64_Dyn *find_dynamic(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return (const Elf64_Dyn *)(info->dlpi_addr
                                       + info->dlpi_phdr[i].p_vaddr);
    return NULL;
}

static struct tables find_tables(const Elf64_Dyn *dynamic,
                                 uint32_t *needed_count)
{
    struct tables tables = { 0 };
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        uint64_t value = dynamic->d_un.d_val;
        switch (dynamic->d_tag) {
        case DT_STRTAB: tables.strtab = value; break;
        case DT_STRSZ: tables.strsz = value; break;
        case DT_SYMTAB: tables.symtab = value; break;
        case DT_HASH: tables.hash = value; break;
        case DT_GNU_HASH: tables.gnu_hash = value; break;
        case DT_VERSYM: tables.versym = value; break;
        case DT_VERNEED: tables.verneed = value; break;
        case DT_VERDEF: tables.verdef = value; break;
        case DT_SONAME:
            tables.soname = value;
            tables.has_soname = true;
            break;
        case DT_NEEDED: ++*needed_count; break;
        }
    }
    return tables;
}

// A host module whose tables do not read is one that defines nothing, as it is
// for ld.so when a table is missing. False for want of memory.
static bool read_symbols(struct host_module *module,
                         const struct dl_phdr_info *info,
                         const struct tables *tables)
{
    struct elf_symbols *symbols = &module->symbols;
    symbols->symtab = table_at(info, tables->symtab);
    symbols->count = (uint32_t)(symbols->symtab.size / sizeof(Elf64_Sym));
    symbols->strtab = table_at(info, tables->strtab);
    if (symbols->strtab.size > tables->strsz)
        symbols->strtab.size = tables->strsz;
    if (tables->versym)
        symbols->versym = table_at(info, tables->versym);
    const char *wrong = NULL;
    if (tables->gnu_hash)
        wrong = elf_read_gnu_hash(symbols, table_at(info, tables->gnu_hash));
    else if (tables->hash)
        wrong = elf_read_sysv_hash(symbols, table_at(info, tables->hash));
    struct view needs = { 0 }, definitions = { 0 };
    if (tables->verneed)
        needs = table_at(info, tables->verneed);
    if (tables->verdef)
        definitions = table_at(info, tables->verdef);
    if (!wrong)
        wrong = elf_read_versions(symbols, needs, definitions);
    if (wrong)
        symbols->gnu_buckets = symbols->sysv_buckets = 0;
    return wrong != elf_no_memory;
}

static bool read_needed(struct host_module *module, const Elf64_Dyn *dynamic,
                        uint32_t count)
{
    module->needed = memory_array(count, sizeof *module->needed);
    if (!module->needed)
        return false;
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++)
        if (dynamic->d_tag == DT_NEEDED && module->needed_count < count)
            module->needed[module->needed_count++]
                = elf_string(&module->symbols, (uint32_t)dynamic->d_un.d_val);
    return true;
}

// glibc gives the executable an empty name. NULL for want of memory.
static char *path_of(const struct dl_phdr_info *info)
{
    char path[PATH_MAX];
    ssize_t length;
    if (info->dlpi_name && info->dlpi_name[0])
        return memory_copy(info->dlpi_name);
    length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0 && errno == ENOMEM)
        return NULL;
    // Without /proc by the name that it was started by.
    if (length <= 0)
        return memory_copy((const char *)getauxval(AT_EXECFN));
    path[length] = '\0';
    return memory_copy(path);
}

struct host_module *host_module_read(const struct dl_phdr_info *info)
{
    struct host_module *module = memory_new(sizeof *module);
    if (!module)
        return NULL;
    atomic_init(&module->count, 1);
    const Elf64_Dyn *dynamic = find_dynamic(info);
    uint32_t needed_count = 0;
    struct tables tables = find_tables(dynamic, &needed_count);
    measure(module, info);
    module->path = path_of(info);
    if (!read_symbols(module, info, &tables) || !module->path
        || !read_needed(module, dynamic, needed_count)) {
        host_module_release(module);
        return NULL;
    }
    module->vdso = module->object.start == getauxval(AT_SYSINFO_EHDR);
    module->object.name = module->path;
    if (tables.has_soname)
        module->object.soname = elf_string(&module->symbols,
                                           (uint32_t)tables.soname);
    module->dynamic = dynamic;
    module->object.bias = info->dlpi_addr;
    module->object.symbols = &module->symbols;
    module->object.tls_module = info->dlpi_tls_modid;
    module->object.host = true;
    return module;
}

void host_module_release(struct host_module *module)
{
    if (atomic_fetch_sub(&module->count, 1) != 1)
        return;
    elf_symbols_free(&module->symbols);
    host_foreseen_free(module->foreseen);
    memory_free(module->needed);
    while (module->probe) {
        struct host_probe *probe = module->probe;
        module->probe = probe->next;
        memory_free(probe);
    }
    memory_free(module->path);
    memory_free(module);
}
