// The host's imports of the functions that tell unwinders what is mapped.

#include "detour.h"

#include <errno.h>
#include <string.h>

#include "../error.h"
#include "../forks.h"
#include "../lock.h"
#include "glibc.h"
#include "patch.h"
#include "unwinder.h"

// Guards the changing of pages and the list below. A leaf.
static struct lock lock = LOCK_INITIALIZER;

// Slots of modules that are never unmapped. More than these few are not looked
// at a second time.
static struct { void **slot; void *value; int expected; } lasting[32];
static atomic_uint lasting_count;

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

static const struct fork_part fork_part = { before_fork, after_fork };

static e64_status write_slot(void **slot, void *value, int expected, bool lasts)
{
    lock_take(&lock);
    e64_status status = host_patch(slot, value, expected);
    uint32_t count = atomic_load(&lasting_count);
    bool known = false;
    for (uint32_t i = 0; i < count; i++)
        known |= lasting[i].slot == slot;
    if (status == E64_OK && lasts && !known
        && count < sizeof lasting / sizeof *lasting) {
        lasting[count].slot = slot;
        lasting[count].value = value;
        lasting[count].expected = expected;
        atomic_store(&lasting_count, count + 1);
    }
    lock_give(&lock);
    return status;
}

e64_status host_redirect_again(void)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0, count = atomic_load(&lasting_count);
         status == E64_OK && i < count; i++)
        if (__atomic_load_n(lasting[i].slot, __ATOMIC_ACQUIRE)
            != lasting[i].value)
            status = write_slot(lasting[i].slot, lasting[i].value,
                                lasting[i].expected, true);
    return status;
}

static int stop_walk(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)info, (void)size, (void)data;
    return 1;
}

// What a slot that is bound at the first call holds jumps to what binds it. So
// calling what it holds has it bound, and does nothing if it was.
static void let_be_bound(enum host_import import, void *standing)
{
    struct dl_find_object result;
    if (import == HOST_FIND_OBJECT)
        ((host_find_function *)standing)(NULL, &result);
    else
        ((host_walk_function *)standing)(stop_walk, NULL);
}

struct redirection {
    const struct host_module *module;
    enum host_import import;
    void *replacement;
    bool (*leave)(void *standing);
    uint32_t count;
    e64_status status;
};

static bool is_lasting(const struct host_module *module)
{
    return module->startup || host_is_compiler_family(module->path);
}

static void redirect_slot(void *data, void **slot)
{
    struct redirection *redirection = data;
    void *standing = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    redirection->count++;
    // A weak import that nothing defines is not called.
    if (redirection->status != E64_OK || !standing
        || standing == redirection->replacement)
        return;
    let_be_bound(redirection->import, standing);
    standing = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (redirection->leave(standing))
        return;
    const struct host_module *module = redirection->module;
    redirection->status = write_slot(
        slot, redirection->replacement,
        host_expected_protection(module, (uintptr_t)slot), is_lasting(module));
}

e64_status host_redirect(const struct host_module *module,
                         enum host_import import, void *replacement,
                         bool (*leave)(void *standing), uint32_t *count)
{
    struct redirection redirection = { module, import, replacement, leave, 0,
                                       E64_OK };
    host_slots(module, host_import_names[import], redirect_slot, &redirection);
    *count = redirection.count;
    return redirection.status;
}

e64_status host_visit(const struct host_snapshot *snapshot,
                      e64_status (*visit)(void *data,
                                          const struct host_module *module),
                      void *data)
{
    forks_watch(FORK_DETOURS, &fork_part);
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < snapshot->module_count; i++)
        if (!snapshot->modules[i]->vdso
            && !atomic_load(&snapshot->modules[i]->visited))
            status = visit(data, snapshot->modules[i]);
    return status;
}

void host_visited(const struct host_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->module_count; i++)
        atomic_store(&snapshot->modules[i]->visited, true);
}

// ------------------------------------------------- unwinders without ---

static void *find_function(const struct host_module *module, const char *text)
{
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    if (!elf_find(&module->symbols, &name, ELF_WANT_NEWEST, &symbol)
        || symbol.st_shndx == SHN_UNDEF
        || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
        return NULL;
    return (void *)elf_symbol_value(&module->object, &symbol);
}

static void count_slot(void *data, void **slot)
{
    (void)slot;
    ++*(uint32_t *)data;
}

bool host_registrar(const struct host_module *module,
                    struct host_registrar *registrar)
{
    uint32_t imports = 0;
    void *add = find_function(module, "__register_frame_info");
    void *remove = find_function(module, "__deregister_frame_info");
    if (!add || !remove || !find_function(module, "_Unwind_RaiseException"))
        return false;
    for (size_t i = 0; i < HOST_IMPORTS; i++)
        host_slots(module, host_import_names[i], count_slot, &imports);
    registrar->add = (void (*)(const void *, void *))add;
    registrar->remove = (void *(*)(const void *))remove;
    return imports == 0;
}
