// Anchors: tiny shared objects that glibc opens for us. One that refers to
// thread-local storage by its offset from the thread pointer makes glibc place
// that storage in every thread's static block, and tells where. It may be that
// of a host module, or the anchor's own.

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "glibc.h"
#include "internals.h"

enum { SEGMENTS = 4, DYNAMICS = 11, ALIGNMENT = 64 };

// The whole file, loaded as it stands by one segment; strings follow. Its own
// thread-local storage is .bss: who asks for more than glibc has costs nothing.
struct anchor {
    Elf64_Ehdr header;
    Elf64_Phdr segments[SEGMENTS];
    Elf64_Sym symbols[2];
    uint32_t hash[6]; // one empty bucket: it defines nothing
    Elf64_Rela relocation;
    Elf64_Dyn dynamic[DYNAMICS];
    uint64_t slot;  // gets the offset
    uint64_t id[2]; // like no other's in this process
    char strings[];
};

struct request {
    struct host_module *module; // NULL: storage of its own
    uint32_t type;              // of the relocation
    uint64_t size;              // of its own storage
    const char *name;
    uint64_t value; // st_value of the symbol
};

// Where the anchor's own storage lies in it.
static uint64_t storage_start(uint64_t strings)
{
    return (sizeof(struct anchor) + strings + ALIGNMENT - 1)
         & ~(uint64_t)(ALIGNMENT - 1);
}

static void fill_segments(struct anchor *anchor, uint64_t size,
                          const struct request *request)
{
    const Elf64_Phdr segments[SEGMENTS] = {
        { .p_type = PT_LOAD, .p_flags = PF_R | PF_W,
          .p_filesz = size - request->size, .p_memsz = size,
          .p_align = 4096 },
        { .p_type = PT_DYNAMIC, .p_flags = PF_R | PF_W,
          .p_offset = offsetof(struct anchor, dynamic),
          .p_vaddr = offsetof(struct anchor, dynamic),
          .p_filesz = sizeof anchor->dynamic,
          .p_memsz = sizeof anchor->dynamic, .p_align = 8 },
        { .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16 },
        { .p_type = request->size ? PT_TLS : PT_NULL, .p_flags = PF_R,
          .p_offset = size - request->size, .p_vaddr = size - request->size,
          .p_filesz = request->size, .p_memsz = request->size,
          .p_align = ALIGNMENT },
    };
    memcpy(anchor->segments, segments, sizeof segments);
}

static void fill(struct anchor *anchor, uint64_t size, uint64_t strings,
                 const struct request *request)
{
    static atomic_ullong count;
    size_t name_size = strlen(request->name) + 1;
    memcpy(anchor->strings + 1, request->name, name_size);
    if (request->module)
        strcpy(anchor->strings + 1 + name_size, request->module->path);
    anchor->id[0] = (uintptr_t)&count;
    anchor->id[1] = atomic_fetch_add(&count, 1);
    anchor->header = (Elf64_Ehdr){
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_phoff = offsetof(struct anchor, segments),
        .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = SEGMENTS,
    };
    fill_segments(anchor, size, request);
    anchor->symbols[1] = (Elf64_Sym){
        .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS) };
    anchor->hash[0] = 1; // buckets
    anchor->hash[1] = 2; // chains
    // Symbol 0 stands for the anchor's own storage.
    anchor->relocation = (Elf64_Rela){
        .r_offset = offsetof(struct anchor, slot),
        .r_info = ELF64_R_INFO(request->module ? 1 : 0, request->type) };
    const Elf64_Dyn dynamic[DYNAMICS] = {
        { DT_STRTAB, { offsetof(struct anchor, strings) } },
        { DT_STRSZ, { strings } },
        { DT_SYMTAB, { offsetof(struct anchor, symbols) } },
        { DT_SYMENT, { sizeof(Elf64_Sym) } },
        { DT_HASH, { offsetof(struct anchor, hash) } },
        { DT_RELA, { offsetof(struct anchor, relocation) } },
        { DT_RELASZ, { sizeof(Elf64_Rela) } },
        { DT_RELAENT, { sizeof(Elf64_Rela) } },
        { DT_FLAGS, { DF_STATIC_TLS } },
        { request->module ? DT_NEEDED : DT_NULL, { 1 + name_size } },
        { DT_NULL, { 0 } },
    };
    memcpy(anchor->dynamic, dynamic, sizeof dynamic);
}

// glibc knows what it has open by its path too, and the numbers of descriptors
// come again: where a path leads to another anchor, another copy's of this
// loader maybe, one with more slashes is tried.
static struct link_map *open_descriptor(int file, const struct anchor *anchor)
{
    enum { MOST_SLASHES = 200 };
    char path[MOST_SLASHES + 32] = "/proc/self/fd/";
    for (char *end = strchr(path, '\0'); end < path + MOST_SLASHES; end++) {
        snprintf(end, 12, "%d", file);
        struct link_map *map = glibc_dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!map || memcmp((char *)map->l_addr + offsetof(struct anchor, id),
                           anchor->id, sizeof anchor->id) == 0)
            return map;
        glibc_dlclose(map);
        *end = '/';
    }
    return NULL;
}

static e64_status not_placed(const char *reason)
{
    if (!reason)
        reason = "too many anchors are open";
    errno = host_shortage(reason);
    return errno ? fail_system("glibc cannot open an anchor for thread-local "
                               "storage")
                 : fail(E64_UNSUPPORTED, "glibc cannot place it in the static "
                        "block: %s", reason);
}

static bool is_too_large(size_t size)
{
    struct rlimit limit;
    bool is = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size;
    errno = EFBIG;
    return is;
}

// Lets glibc open the bytes. They stay open for good: the offset is in use.
static e64_status open_bytes(const struct anchor *anchor, size_t size,
                             struct link_map **map)
{
    int file = memfd_create("elf64load-anchor", MFD_CLOEXEC);
    if (file < 0)
        return fail_system("an anchor for thread-local storage cannot be made "
                           "(memfd_create)");
    e64_status status = E64_OK;
    if (is_too_large(size)) // to write it would raise SIGXFSZ
        status = fail_system("an anchor for thread-local storage cannot be "
                             "written (RLIMIT_FSIZE)");
    else if (write(file, anchor, size) != (ssize_t)size)
        status = fail_system("an anchor for thread-local storage cannot be "
                             "written");
    // Not left to glibc, whose message does not say why it is there.
    if (status == E64_OK && access("/proc/self/fd", F_OK) != 0)
        status = fail_system("an anchor for thread-local storage is opened as "
                             "/proc/self/fd/%d", file);
    if (status == E64_OK) {
        *map = open_descriptor(file, anchor);
        if (!*map)
            status = not_placed(glibc_dlerror());
    }
    close(file);
    return status;
}

static e64_status open_anchor(const struct request *request,
                              struct link_map **map, char **storage)
{
    uint64_t strings = strlen(request->name) + 2
                     + (request->module ? strlen(request->module->path) + 1
                                        : 0);
    uint64_t start = storage_start(strings), size = start + request->size;
    struct anchor *anchor = memory_new(start);
    if (!anchor)
        return fail_memory(start);
    fill(anchor, size, strings, request);
    e64_status status = open_bytes(anchor, start, map);
    memory_free(anchor);
    if (status == E64_OK)
        *storage = (char *)(*map)->l_addr + start;
    return status;
}

static int64_t slot_of(const struct link_map *map)
{
    int64_t value;
    memcpy(&value, (char *)map->l_addr + offsetof(struct anchor, slot),
           sizeof value);
    return value;
}

e64_status host_tls_area(uint64_t size, uint32_t type, int64_t *offset,
                         char **image)
{
    const struct request request = { .type = type, .size = size, .name = "" };
    struct link_map *map;
    e64_status status = open_anchor(&request, &map, image);
    if (status == E64_OK)
        *offset = slot_of(map);
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
    struct link_map *map;
    char *storage;
    if (!elf_symbols_each(&module->symbols, find_symbol, request))
        return fail(E64_UNSUPPORTED, "%s exports no thread-local variable",
                    module->path);
    e64_status status = open_anchor(request, &map, &storage);
    if (status != E64_OK)
        return status;
    *offset = slot_of(map) - (int64_t)request->value;
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
            error_errno(reason.system_errno);
            return status;
        }
    }
    atomic_store(&module->tls_offset, *offset);
    return E64_OK;
}
