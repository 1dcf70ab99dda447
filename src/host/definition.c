// The functions of glibc that tell unwinders what is mapped: which they are,
// and how whoever comes later gets others.

#include "detour.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../mapping.h"
#include "glibc.h"

const char *const host_import_names[HOST_IMPORTS] = {
    [HOST_FIND_OBJECT] = "_dl_find_object",
    [HOST_ITERATE_PHDR] = "dl_iterate_phdr",
};

// -------------------------------------------------------- glibc's own ---

static _Atomic(host_find_function *) find_object;
static _Atomic(host_walk_function *) iterate_phdr;

int host_find_object(void *address, struct dl_find_object *result)
{
    host_find_function *function = atomic_load(&find_object);
    return function ? function(address, result) : -1;
}

static void *const question = (void *)0xe64c0b1e5a11c0deull;
static const unsigned long long answer = 0xe64c0b1e5a11c002ull;

bool host_is_question(const void *address)
{
    return address == question;
}

void host_answer(struct dl_find_object *result, void *data)
{
    memset(result, 0, sizeof *result);
    result->dlfo_flags = answer;
    result->dlfo_map_start = (void *)atomic_load(&find_object);
    result->dlfo_map_end = (void *)atomic_load(&iterate_phdr);
    result->dlfo_eh_frame = data;
}

// What a copy of this loader says, if the function is one's.
static bool ask(host_find_function *function, struct dl_find_object *result)
{
    memset(result, 0, sizeof *result);
    return function && function(question, result) == 0
        && result->dlfo_flags == answer;
}

bool host_ask_copy(host_find_function *function, void **data)
{
    struct dl_find_object result;
    bool is = ask(function, &result);
    if (is)
        *data = result.dlfo_eh_frame;
    return is;
}

static void *ask_glibc(enum host_import import)
{
    void *function = glibc_dlsym(RTLD_DEFAULT, host_import_names[import]);
    if (!function)
        glibc_dlerror(); // before 2.35 there is no _dl_find_object
    return function;
}

// Not by an import of our own: another copy of this loader may have pointed it
// to what shows us its plugins as if they were the host's. If it has, it knows
// the right one. A copy redefines this function last.
int host_iterate_phdr(host_walk_callback *callback, void *data)
{
    host_walk_function *function = atomic_load(&iterate_phdr);
    lock_check_none();
    if (!function) {
        struct dl_find_object result;
        function = (host_walk_function *)ask_glibc(HOST_ITERATE_PHDR);
        if (ask((host_find_function *)ask_glibc(HOST_FIND_OBJECT), &result))
            function = (host_walk_function *)result.dlfo_map_end;
        atomic_store(&iterate_phdr, function);
    }
    return function(callback, data);
}

// The first definition, as dlsym would find it. dlsym would also answer the
// address that an executable without PIC has for such a function, which jumps
// through one of the slots that are about to change.
static const struct host_module *
find_definer(const struct host_snapshot *snapshot, enum host_import import,
             uint32_t *index, Elf64_Sym *symbol)
{
    struct elf_name name = elf_name(host_import_names[import]);
    for (uint32_t i = 0; i < snapshot->global_count; i++) {
        const struct elf_object *object = snapshot->globals[i];
        *index = elf_find(object->symbols, &name, ELF_WANT_NEWEST, symbol);
        if (*index && symbol->st_shndx != SHN_UNDEF)
            return host_module_of(object);
    }
    return NULL;
}

static void *find_definition(const struct host_snapshot *snapshot,
                             enum host_import import)
{
    uint32_t index;
    Elf64_Sym symbol;
    const struct host_module *definer = find_definer(snapshot, import, &index,
                                                     &symbol);
    return definer ? (void *)elf_symbol_value(&definer->object, &symbol) : NULL;
}

void host_detour_resolve(const struct host_snapshot *snapshot)
{
    static atomic_bool resolved;
    struct dl_find_object result;
    if (atomic_load(&resolved))
        return;
    void *walk = find_definition(snapshot, HOST_ITERATE_PHDR);
    void *find = find_definition(snapshot, HOST_FIND_OBJECT);
    if (ask((host_find_function *)find, &result)) {
        find = result.dlfo_map_start;
        walk = result.dlfo_map_end;
    }
    if (walk)
        atomic_store(&iterate_phdr, (host_walk_function *)walk);
    atomic_store(&find_object, (host_find_function *)find);
    atomic_store(&resolved, true);
}

// --------------------------------------------------- the definitions ---

struct change {
    _Atomic Elf64_Addr *value;
    Elf64_Addr expected, wanted;
    bool made;   // what stands there is what was wanted, or another thread's
    bool sealed; // its page is as it was
};

static void *page_of(const struct change *change, uintptr_t page_size)
{
    return (void *)((uintptr_t)change->value & ~(page_size - 1));
}

static void write_value(struct change *change)
{
    Elf64_Addr expected = change->expected;
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = page_of(change, page_size);
    change->made = mprotect(page, page_size, PROT_READ | PROT_WRITE) == 0;
    if (!change->made)
        return;
    atomic_compare_exchange_strong(change->value, &expected, change->wanted);
    change->sealed = mprotect(page, page_size, PROT_READ) == 0;
}

// Called by glibc with its list locked, so that one thread at a time is here,
// be it another copy's of this loader: else one would seal the page before
// another has written. No lock of ours may be taken here: while the process
// forks they are held, and whoever unwinds then waits for the list.
static int find_segment(struct dl_phdr_info *info, size_t size, void *data)
{
    struct change *change = data;
    uintptr_t address = (uintptr_t)change->value;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || address < start
            || address - start >= header->p_memsz)
            continue;
        // In a segment that is to be read, and nothing else.
        if (header->p_flags == PF_R && address % sizeof change->wanted == 0)
            write_value(change);
        return 1;
    }
    return 0;
}

// What stands there already because another thread was faster is left, and
// looked at again.
static bool change_value(_Atomic Elf64_Addr *value, Elf64_Addr expected,
                         Elf64_Addr wanted)
{
    struct change change = { value, expected, wanted, false, true };
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    host_iterate_phdr(find_segment, &change);
    if (!change.sealed)
        mapping_seal(page_of(&change, page_size), page_size, PROT_READ);
    return change.made;
}

// A value outside of the object does no harm: it is added to the object's
// address, and the sum is what it is (gABI "Symbol Table").
bool host_redefine(const struct host_snapshot *snapshot,
                   enum host_import import, void *replacement,
                   bool (*leave)(void *standing))
{
    enum { TRIES = 3 };
    uint32_t index;
    Elf64_Sym symbol;
    const struct host_module *definer = find_definer(snapshot, import, &index,
                                                     &symbol);
    if (!definer)
        return true;
    if (!definer->startup || symbol.st_shndx == SHN_ABS)
        return false;
    uintptr_t bias = definer->object.bias;
    _Atomic Elf64_Addr *value = (_Atomic Elf64_Addr *)
        (definer->symbols.symtab.data + index * sizeof symbol
         + offsetof(Elf64_Sym, st_value));
    for (int i = 0; i < TRIES; i++) {
        Elf64_Addr standing = atomic_load(value);
        if (bias + standing == (uintptr_t)replacement
            || leave((void *)(bias + standing)))
            return true;
        if (!change_value(value, standing, (uintptr_t)replacement - bias))
            return false;
    }
    return false;
}
