// STB_GNU_UNIQUE: of such a symbol there is one definition for the host, and
// one for each runtime among its plugins: the first that was bound to.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "work.h"

// Does any of the host's objects define it as unique? Then glibc has entered
// one of them, or will now.
static void *find_in_host(const struct host_snapshot *snapshot,
                          const char *text)
{
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (elf_find(&module->symbols, &name, ELF_WANT_DEFINED, &symbol)
            && ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
            return host_unique(module, text);
    }
    return NULL;
}

static struct unique_entry *find(e64_runtime *runtime, const char *name,
                                 uint32_t hash)
{
    for (uint32_t i = 0; i < runtime->unique_count; i++) {
        struct unique_entry *entry = &runtime->uniques[i];
        if (entry->hash == hash && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static e64_status enter(const struct discovery *discovery, const char *name,
                        uint32_t hash, const struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    if (runtime->unique_count == runtime->unique_room) {
        uint32_t room = runtime->unique_room ? 2 * runtime->unique_room : 16;
        struct unique_entry *entries = memory_resize(runtime->uniques,
                                                     room * sizeof *entries);
        if (!entries)
            return fail_memory(room * sizeof *entries);
        runtime->uniques = entries;
        runtime->unique_room = room;
    }
    char *copy = memory_copy(name);
    if (!copy)
        return fail_memory(strlen(name) + 1);
    runtime->uniques[runtime->unique_count++] = (struct unique_entry){
        .name = copy, .hash = hash, .definer = binding->definer,
        .value = binding->value, .size = binding->size,
        .definition = binding->definition, .type = binding->type,
        .entered_by = discovery,
    };
    return E64_OK;
}

static e64_status look_up(struct discovery *discovery, const char *name,
                          struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    uint32_t hash = elf_gnu_hash(name);
    struct unique_entry *entry = find(runtime, name, hash);
    if (!entry)
        return enter(discovery, name, hash, binding);
    // What another thread is mapping may never come to be.
    e64_plugin *definer = plugin_of(entry->definer);
    if (definer && definer->claimed && work_is_elsewhere(definer)) {
        if (!discovery->awaited)
            discovery->awaited = plugin_hold(definer);
        return fail(E64_CHANGED, "%s: another thread is opening it, which "
                    "defines '%s' (STB_GNU_UNIQUE)",
                    definer->unit.object.name, name);
    }
    // It is used: whoever has entered it cannot take it back.
    if (entry->entered_by != discovery)
        entry->entered_by = NULL;
    binding->definer = entry->definer;
    binding->value = entry->value;
    binding->size = entry->size;
    binding->definition = entry->definition;
    binding->type = entry->type;
    return E64_OK;
}

e64_status unique_bind(struct discovery *discovery, const char *name,
                       struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    void *address = find_in_host(discovery->snapshot, name);
    if (address) {
        struct host_module *owner = host_containing(discovery->snapshot,
                                                    (uintptr_t)address);
        if (owner)
            binding->definer = &owner->object;
        binding->value = (uintptr_t)address;
        return E64_OK;
    }
    lock_take(&runtime->lock);
    e64_status status = look_up(discovery, name, binding);
    lock_give(&runtime->lock);
    return status;
}

void unique_keep_owner(e64_runtime *runtime, const struct elf_object *definer)
{
    e64_plugin *owner = plugin_of(definer);
    if (!owner)
        return;
    lock_take(&runtime->lock);
    owner->nodelete = true;
    lock_give(&runtime->lock);
}

// Keeps the entries that are to be kept.
static void sift(e64_runtime *runtime, const struct elf_object *definer,
                 const struct discovery *entered_by)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < runtime->unique_count; i++) {
        struct unique_entry *entry = &runtime->uniques[i];
        if (entry->definer == definer
            || (entered_by && entry->entered_by == entered_by))
            memory_free(entry->name);
        else
            runtime->uniques[kept++] = *entry;
    }
    runtime->unique_count = kept;
}

void unique_forget(e64_runtime *runtime, const struct elf_object *definer)
{
    sift(runtime, definer, NULL);
}

void unique_settle(const struct discovery *discovery, bool stays)
{
    e64_runtime *runtime = discovery->runtime;
    lock_take(&runtime->lock);
    if (!stays)
        sift(runtime, NULL, discovery);
    for (uint32_t i = 0; i < runtime->unique_count; i++)
        if (runtime->uniques[i].entered_by == discovery)
            runtime->uniques[i].entered_by = NULL;
    lock_give(&runtime->lock);
}

void unique_free(e64_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->unique_count; i++)
        memory_free(runtime->uniques[i].name);
    memory_free(runtime->uniques);
}
