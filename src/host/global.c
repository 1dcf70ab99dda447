// Which of the host's objects are in glibc's global scope, and in which order.
// What the process started with is; of what was opened later only glibc's dlsym
// can tell. It finds the first definition: so a name that nothing global is
// known to define leads to what became global meanwhile, if anything has it.

#include "host.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "glibc.h"

// dlsym on this handle searches the global scope.
static _Atomic(void *) executable;

// Two threads may both do it, and get the same.
static void open_executable(void)
{
    if (!atomic_load(&executable))
        atomic_store(&executable, glibc_dlopen(NULL, RTLD_LAZY));
}

static struct host_module *needed_by(const struct host_snapshot *snapshot,
                                     const char *name)
{
    struct host_module *module = host_find(snapshot, name);
    return module && !module->vdso ? module : NULL;
}

// glibc's list begins with what the process started with: the executable, what
// was preloaded, and all that these need, found here through DT_NEEDED. All
// that stands before the last of them was there as well.
static void mark_startup(struct host_snapshot *snapshot)
{
    uint32_t end = 1;
    for (uint32_t i = 0; i < end && i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        for (uint32_t n = 0; n < module->needed_count; n++) {
            struct host_module *needed = needed_by(snapshot,
                                                   module->needed[n]);
            for (uint32_t k = end; needed && k < snapshot->module_count; k++)
                if (snapshot->modules[k] == needed)
                    end = k + 1;
        }
    }
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        if (i < end && !module->startup) {
            module->startup = true;
            module->global = !module->vdso;
        }
    }
}

// What dlsym answers for a name that nothing known to be global defines.
static struct host_module *find_owner(const struct host_snapshot *snapshot,
                                      const char *name)
{
    void *address = glibc_dlsym(executable, name);
    if (!address) {
        glibc_dlerror(); // the failure is ours, not to be seen by others
        return NULL;
    }
    struct host_module *owner = host_containing(snapshot, (uintptr_t)address);
    return owner && !owner->vdso && !owner->global ? owner : NULL;
}

// A name of the module that dlsym may be asked for: it would run the resolver
// of an IFUNC, and make thread-local storage.
static bool can_ask(const struct host_module *module,
                    const struct elf_name *name, uint32_t index)
{
    Elf64_Sym found;
    uint32_t at = elf_find(&module->symbols, name, ELF_WANT_NEWEST, &found);
    unsigned char type = ELF64_ST_TYPE(found.st_info);
    return at && (!index || at == index)
        && (type == STT_FUNC || type == STT_OBJECT);
}

static struct elf_name name_of(const struct host_module *module,
                               const Elf64_Sym *symbol)
{
    return elf_name(elf_string(&module->symbols, symbol->st_name));
}

// Is the name defined by something that is known to be global?
static bool is_known(const struct host_snapshot *snapshot,
                     const struct elf_name *name)
{
    Elf64_Sym found;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (module->global
            && elf_find(&module->symbols, name, ELF_WANT_ANY, &found))
            return true;
    }
    return false;
}

struct probing {
    const struct host_snapshot *snapshot;
    const struct host_module *module; // whose names are walked through
    const char *name;                 // found by try_probe
    const struct host_module *other;  // for try_order
    const struct host_module *first;
    struct host_module *before;       // found by try_order
};

static int try_probe(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct probing *probing = data;
    struct elf_name name = name_of(probing->module, symbol);
    if (!can_ask(probing->module, &name, index)
        || is_known(probing->snapshot, &name))
        return 0;
    probing->name = name.text;
    return 1;
}

// One whose names are all defined by what is global already has none: whether
// it is global, too, makes no difference. The texts are copies, because they
// are asked for again when the module may be gone; another thread may be asking
// for one that does not serve any more, so that they are kept. False for want
// of memory.
static bool find_probe(const struct host_snapshot *snapshot,
                       struct host_module *module)
{
    struct probing probing = { .snapshot = snapshot, .module = module };
    struct host_probe *last = atomic_load(&module->probe);
    struct elf_name name = elf_name(last ? last->text : "");
    if (last && !is_known(snapshot, &name))
        return true;
    elf_symbols_each(&module->symbols, try_probe, &probing);
    const char *text = probing.name ? probing.name : "";
    struct host_probe *probe = memory_new(sizeof *probe + strlen(text) + 1);
    if (!probe)
        return false;
    strcpy(probe->text, text);
    probe->next = last;
    while (!atomic_compare_exchange_weak(&module->probe, &probe->next, probe))
        ;
    return true;
}

static int try_order(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct probing *probing = data;
    struct elf_name name = name_of(probing->module, symbol);
    if (!can_ask(probing->module, &name, index)
        || !can_ask(probing->other, &name, 0)
        || is_known(probing->snapshot, &name))
        return 0;
    struct host_module *owner = find_owner(probing->snapshot, name.text);
    if (!owner || owner == probing->first)
        return 0;
    probing->before = owner;
    return 1;
}

// Of the same names, those of the module with fewer symbols are walked through.
static struct host_module *find_before(const struct host_snapshot *snapshot,
                                       const struct host_module *module,
                                       const struct host_module *other)
{
    bool smaller = module->symbols.count < other->symbols.count;
    struct probing probing = { .snapshot = snapshot, .first = module,
                               .module = smaller ? module : other,
                               .other = smaller ? other : module };
    elf_symbols_each(&probing.module->symbols, try_order, &probing);
    return probing.before;
}

// Of those that became global since, one that stands before all others that
// define what it does.
static struct host_module *find_first(const struct host_snapshot *snapshot,
                                      struct host_module *module)
{
    uint32_t moves = 0;
    for (uint32_t i = 0; i < snapshot->module_count
                         && moves < snapshot->module_count; i++) {
        const struct host_module *other = snapshot->modules[i];
        if (other == module || other->global || other->vdso)
            continue;
        struct host_module *before = find_before(snapshot, module, other);
        if (before) {
            module = before;
            moves++;
            i = UINT32_MAX; // all over again
        }
    }
    return module;
}

static struct host_module *ask(const struct host_snapshot *snapshot,
                               const struct host_module *module)
{
    const struct host_probe *probe = atomic_load(&module->probe);
    return probe && probe->text[0] ? find_owner(snapshot, probe->text) : NULL;
}

// Marks one that is global and was not known to be, if there is one.
static e64_status mark_next(const struct host_snapshot *snapshot, bool *marked)
{
    static atomic_uint ranks;
    struct host_module *next = NULL;
    bool several = false;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        if (module->global || module->vdso)
            continue;
        if (!find_probe(snapshot, module))
            return fail(E64_NOMEMORY, "out of memory while looking for what "
                        "is global in the host");
        struct host_module *owner = ask(snapshot, module);
        several |= next && owner && owner != next;
        next = owner ? owner : next;
    }
    *marked = next != NULL;
    if (!next)
        return E64_OK;
    if (several)
        next = find_first(snapshot, next);
    // The rank of the thread that was first: each finds the same order.
    unsigned none = 0;
    atomic_compare_exchange_strong(&next->rank, &none,
                                   atomic_fetch_add(&ranks, 1) + 1);
    next->global = true;
    return E64_OK;
}

// What the process started with stands first, as glibc has it in its list.
static void list_globals(struct host_snapshot *snapshot)
{
    const struct elf_object **globals = snapshot->globals;
    uint32_t count = 0;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        uint32_t at = count;
        if (!module->global || module->vdso)
            continue;
        for (; at > 0 && host_module_of(globals[at - 1])->rank > module->rank;
             at--)
            globals[at] = globals[at - 1];
        globals[at] = &module->object;
        count++;
    }
    snapshot->global_count = count;
}

e64_status host_mark_globals(struct host_snapshot *snapshot)
{
    open_executable();
    mark_startup(snapshot);
    snapshot->globals = memory_array(snapshot->module_count,
                                     sizeof *snapshot->globals);
    if (!snapshot->globals)
        return fail_memory(snapshot->module_count * sizeof(void *));
    e64_status status = E64_OK;
    for (bool more = true; status == E64_OK && more; )
        status = mark_next(snapshot, &more);
    if (status == E64_OK)
        list_globals(snapshot);
    return status;
}

bool host_promoted(const struct host_snapshot *snapshot)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (module->vdso)
            continue;
        if (!module->global && ask(snapshot, module))
            return true;
        count += module->global;
    }
    return count != snapshot->global_count; // another snapshot has found it
}
