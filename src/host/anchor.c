// Anchors: tiny shared objects that glibc opens for us. One that refers to a
// module's thread-local storage by its offset from the thread pointer makes
// glibc place that module in every thread's static block, and tells where.

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "internals.h"

enum { DYNAMICS = 11 };

#define SLASHES_16 "////////////////"
#define SLASHES                                                               \
    SLASHES_16 SLASHES_16 SLASHES_16 SLASHES_16                               \
    SLASHES_16 SLASHES_16 SLASHES_16 SLASHES_16

// The whole file, loaded as it stands by one segment; the strings follow.
struct anchor {
    Elf64_Ehdr header;
    Elf64_Phdr segments[3];
    Elf64_Sym symbols[2];
    uint32_t hash[6]; // one empty bucket: it defines nothing
    Elf64_Rela relocation;
    Elf64_Dyn dynamic[DYNAMICS];
    uint64_t slot; // gets the offset
    char strings[];
};

struct request {
    struct host_module *module;
    uint32_t type; // of the relocation
    const char *name;
    uint64_t value; // st_value of the symbol
};

static void fill(struct anchor *anchor, size_t size,
                 const struct request *request)
{
    size_t name_size = strlen(request->name) + 1;
    size_t strings = size - sizeof *anchor;
    memcpy(anchor->strings + 1, request->name, name_size);
    strcpy(anchor->strings + 1 + name_size, request->module->path);
    anchor->header = (Elf64_Ehdr){
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_phoff = offsetof(struct anchor, segments),
        .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 3,
    };
    anchor->segments[0] = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_filesz = size,
        .p_memsz = size, .p_align = 4096 };
    anchor->segments[1] = (Elf64_Phdr){
        .p_type = PT_DYNAMIC, .p_flags = PF_R | PF_W,
        .p_offset = offsetof(struct anchor, dynamic),
        .p_vaddr = offsetof(struct anchor, dynamic),
        .p_filesz = sizeof anchor->dynamic, .p_memsz = sizeof anchor->dynamic,
        .p_align = 8 };
    anchor->segments[2] = (Elf64_Phdr){
        .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16 };
    anchor->symbols[1] = (Elf64_Sym){
        .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS) };
    anchor->hash[0] = 1; // buckets
    anchor->hash[1] = 2; // chains
    anchor->relocation = (Elf64_Rela){
        .r_offset = offsetof(struct anchor, slot),
        .r_info = ELF64_R_INFO(1, request->type) };
    const Elf64_Dyn dynamic[DYNAMICS] = {
        { DT_NEEDED, { 1 + name_size } },
        { DT_STRTAB, { offsetof(struct anchor, strings) } },
        { DT_STRSZ, { strings } },
        { DT_SYMTAB, { offsetof(struct anchor, symbols) } },
        { DT_SYMENT, { sizeof(Elf64_Sym) } },
        { DT_HASH, { offsetof(struct anchor, hash) } },
        { DT_RELA, { offsetof(struct anchor, relocation) } },
        { DT_RELASZ, { sizeof(Elf64_Rela) } },
        { DT_RELAENT, { sizeof(Elf64_Rela) } },
        { DT_FLAGS, { DF_STATIC_TLS } },
        { DT_NULL, { 0 } },
    };
    memcpy(anchor->dynamic, dynamic, sizeof dynamic);
}

// Lets glibc open the bytes. They stay open for good: the offset is in use.
static e64_status open_bytes(const struct anchor *anchor, size_t size,
                             struct link_map **map)
{
    static atomic_uint anchors;
    char path[256];
    int file = memfd_create("elf64load-anchor", MFD_CLOEXEC);
    if (file < 0)
        return fail_system("an anchor for thread-local storage cannot be made "
                           "(memfd_create)");
    e64_status status = E64_OK;
    if (write(file, anchor, size) != (ssize_t)size)
        status = fail_system("an anchor for thread-local storage cannot be "
                             "written");
    // glibc knows what it has open by the name too, and descriptors' numbers
    // come again: no two anchors have the same number of slashes.
    unsigned slashes = atomic_fetch_add(&anchors, 1) % 128 + 1;
    snprintf(path, sizeof path, "/proc/self/fd%.*s%d", slashes, SLASHES, file);
    *map = status == E64_OK ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (status == E64_OK && !*map) {
        const char *reason = dlerror();
        status = fail(E64_UNSUPPORTED, "glibc cannot place it in the static "
                      "block: %s", reason ? reason : "no reason given");
    }
    close(file);
    return status;
}

static int find_symbol(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct request *request = data;
    (void)index;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_TLS)
        return 0;
    request->name = elf_string(&request->module->symbols, symbol->st_name);
    request->value = symbol->st_value;
    return 1;
}

extern void *__tls_get_addr(uint64_t *index);

// Is the module's block at that offset in this thread?
static bool is_there(const struct host_module *module, int64_t offset)
{
    uint64_t index[2] = { module->object.tls_module, 0 };
    return (char *)__tls_get_addr(index)
        == (char *)__builtin_thread_pointer() + offset;
}

static e64_status make_anchor(struct request *request, int64_t *offset)
{
    struct host_module *module = request->module;
    if (!elf_symbols_each(&module->symbols, find_symbol, request))
        return fail(E64_UNSUPPORTED, "%s exports no thread-local variable",
                    module->path);
    size_t size = sizeof(struct anchor) + strlen(request->name)
                + strlen(module->path) + 3;
    struct anchor *anchor = memory_new(size);
    struct link_map *map;
    if (!anchor)
        return fail_memory(size);
    fill(anchor, size, request);
    e64_status status = open_bytes(anchor, size, &map);
    memory_free(anchor);
    if (status != E64_OK)
        return status;
    int64_t value;
    memcpy(&value, (char *)map->l_addr + offsetof(struct anchor, slot),
           sizeof value);
    *offset = value - (int64_t)request->value;
    if (!is_there(module, *offset))
        return fail(E64_UNSUPPORTED, "its thread-local storage is not where an "
                    "anchor found it");
    return E64_OK;
}

e64_status host_tls_offset(struct host_module *module, uint32_t type,
                           int64_t *offset)
{
    int64_t known = atomic_load(&module->tls_offset);
    if (known) {
        *offset = known;
        return E64_OK;
    }
    if (module->startup) {
        uint64_t index[2] = { module->object.tls_module, 0 };
        *offset = (char *)__tls_get_addr(index)
                - (char *)__builtin_thread_pointer();
    } else {
        struct request request = { .module = module, .type = type };
        e64_status status = make_anchor(&request, offset);
        if (status != E64_OK) {
            e64_error reason;
            error_save(&reason);
            fail(status, "the thread-local storage of %s has no fixed place "
                 "(%s); link the program with it, or preload it", module->path,
                 reason.message);
            error_path(module->path);
            return status;
        }
    }
    atomic_store(&module->tls_offset, *offset);
    return E64_OK;
}
