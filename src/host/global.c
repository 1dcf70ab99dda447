// Which of the host's objects are in glibc's global scope. What the process
// started with is; of what was opened later only glibc's dlsym can tell.

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
        if (i < end && !module->startup)
            module->startup = true;
    }
}

struct probing {
    const char *name; // the answer
    const struct host_snapshot *snapshot;
    struct host_module *module;
};

// Does only this module define the name? Then what dlsym answers says whether
// the module is global.
static int try_probe(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct probing *probing = data;
    struct host_module *module = probing->module;
    unsigned char type = ELF64_ST_TYPE(symbol->st_info);
    // dlsym would run the resolver of an IFUNC.
    if (type != STT_FUNC && type != STT_OBJECT)
        return 0;
    Elf64_Sym found;
    struct elf_name name = elf_name(elf_string(&module->symbols,
                                               symbol->st_name));
    if (elf_find(&module->symbols, &name, ELF_WANT_NEWEST, &found) != index)
        return 0;
    for (uint32_t i = 0; i < probing->snapshot->module_count; i++) {
        struct host_module *other = probing->snapshot->modules[i];
        if (other != module
            && elf_find(&other->symbols, &name, ELF_WANT_ANY, &found))
            return 0;
    }
    probing->name = name.text;
    return 1;
}

static bool is_global(const struct host_module *module)
{
    const char *probe = module->probe;
    if (!probe)
        return false;
    uintptr_t address = (uintptr_t)glibc_dlsym(executable, probe);
    if (!address)
        glibc_dlerror(); // the failure is ours, not to be seen by others
    return address >= module->object.start && address < module->object.end;
}

e64_status host_mark_globals(struct host_snapshot *snapshot)
{
    open_executable();
    mark_startup(snapshot);
    snapshot->globals = memory_array(snapshot->module_count,
                                     sizeof *snapshot->globals);
    if (!snapshot->globals)
        return fail_memory(snapshot->module_count * sizeof(void *));
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        struct host_module *module = snapshot->modules[i];
        if (module->vdso)
            continue;
        if (module->startup) {
            if (!module->global)
                module->global = true;
        } else if (!module->global) {
            struct probing probing = { NULL, snapshot, module };
            elf_symbols_each(&module->symbols, try_probe, &probing);
            module->probe = probing.name;
            if (is_global(module))
                module->global = true;
        }
        if (module->global)
            snapshot->globals[snapshot->global_count++] = &module->object;
    }
    return E64_OK;
}

bool host_promoted(const struct host_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (!module->global && !module->vdso && is_global(module))
            return true;
    }
    return false;
}
