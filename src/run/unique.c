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

// The room is a power of two.
static uint32_t *slot(const e64_runtime *runtime, uint32_t hash)
{
    return &runtime->unique_slots[hash & (runtime->unique_room - 1)];
}

static struct unique_entry *find(e64_runtime *runtime, const char *name,
                                 uint32_t hash)
{
    if (!runtime->unique_room)
        return NULL;
    for (uint32_t at = *slot(runtime, hash); at; ) {
        struct unique_entry *entry = &runtime->uniques[at - 1];
        if (entry->hash == hash && strcmp(entry->name, name) == 0)
            return entry;
        at = entry->next;
    }
    return NULL;
}

// Puts the entry at a place into its slot.
static void file_entry(e64_runtime *runtime, uint32_t place)
{
    struct unique_entry *entry = &runtime->uniques[place];
    uint32_t *first = slot(runtime, entry->hash);
    entry->next = *first;
    *first = place + 1;
}

static void file_all(e64_runtime *runtime)
{
    if (runtime->unique_room)
        memset(runtime->unique_slots, 0,
               runtime->unique_room * sizeof *runtime->unique_slots);
    for (uint32_t i = 0; i < runtime->unique_count; i++)
        file_entry(runtime, i);
}

static e64_status grow(e64_runtime *runtime)
{
    uint32_t room = runtime->unique_room ? 2 * runtime->unique_room : 16;
    struct unique_entry *entries = memory_resize(runtime->uniques,
                                                 room * sizeof *entries);
    if (!entries)
        return fail_memory(room * sizeof *entries);
    runtime->uniques = entries;
    uint32_t *slots = memory_array(room, sizeof *slots);
    if (!slots)
        return fail_memory(room * sizeof *slots);
    memory_free(runtime->unique_slots);
    runtime->unique_slots = slots;
    runtime->unique_room = room;
    file_all(runtime);
    return E64_OK;
}

static e64_status enter(const struct discovery *discovery, const char *name,
                        uint32_t hash, const struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    e64_status status = runtime->unique_count == runtime->unique_room
        ? grow(runtime) : E64_OK;
    if (status != E64_OK)
        return status;
    char *copy = memory_copy(name);
    if (!copy)
        return fail_memory(strlen(name) + 1);
    runtime->uniques[runtime->unique_count++] = (struct unique_entry){
        .name = copy, .hash = hash, .definer = binding->definer,
        .value = binding->value, .size = binding->size,
        .definition = binding->definition, .type = binding->type,
        .entered_by = discovery,
    };
    file_entry(runtime, runtime->unique_count - 1);
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
    owner->unique = true;
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
    if (kept == runtime->unique_count)
        return;
    runtime->unique_count = kept;
    file_all(runtime);
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
    memory_free(runtime->unique_slots);
}
