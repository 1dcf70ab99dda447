// STB_GNU_UNIQUE: of such a symbol there is one definition for the host, and
// one for each runtime among its plugins: the first that was bound to.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "work.h"

// Does any of the host's objects define it as unique? Then glibc has entered
// one of them, or will now. One that is only foreseen is the first by then.
static bool find_in_host(const struct host_snapshot *snapshot,
                         const char *text, struct link_binding *binding)
{
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        const struct host_module *module = snapshot->modules[i];
        uint32_t index = elf_find(&module->symbols, &name, ELF_WANT_DEFINED,
                                  &symbol);
        if (!index || ELF64_ST_BIND(symbol.st_info) != STB_GNU_UNIQUE)
            continue;
        if (module->foreseen) {
            binding->definer = &module->object;
            binding->definition = index;
            binding->value = elf_symbol_value(&module->object, &symbol);
            return true;
        }
        void *address = host_unique(module, text);
        if (!address)
            return false;
        const struct host_module *owner = host_containing(
            snapshot, (uintptr_t)address);
        if (owner) {
            binding->definer = &owner->object;
            binding->definition = elf_find(&owner->symbols, &name,
                                           ELF_WANT_DEFINED, &symbol);
        }
        binding->value = (uintptr_t)address;
        return true;
    }
    return false;
}

// The room is a power of two.
static uint32_t *slot(const struct uniques *uniques, uint32_t hash)
{
    return &uniques->slots[hash & (uniques->room - 1)];
}

static struct unique_entry *find(const struct uniques *uniques,
                                 const char *name, uint32_t hash)
{
    if (!uniques->room)
        return NULL;
    for (uint32_t at = *slot(uniques, hash); at; ) {
        struct unique_entry *entry = &uniques->entries[at - 1];
        if (entry->hash == hash && strcmp(entry->name, name) == 0)
            return entry;
        at = entry->next;
    }
    return NULL;
}

// Puts the entry at a place into its slot.
static void file_entry(struct uniques *uniques, uint32_t place)
{
    struct unique_entry *entry = &uniques->entries[place];
    uint32_t *first = slot(uniques, entry->hash);
    entry->next = *first;
    *first = place + 1;
}

static void file_all(struct uniques *uniques)
{
    if (uniques->room)
        memset(uniques->slots, 0, uniques->room * sizeof *uniques->slots);
    for (uint32_t i = 0; i < uniques->count; i++)
        file_entry(uniques, i);
}

static e64_status grow(struct uniques *uniques)
{
    uint32_t room = uniques->room ? 2 * uniques->room : 16;
    struct unique_entry *entries = memory_resize(uniques->entries,
                                                 room * sizeof *entries);
    if (!entries)
        return fail_memory(room * sizeof *entries);
    uniques->entries = entries;
    uint32_t *slots = memory_array(room, sizeof *slots);
    if (!slots)
        return fail_memory(room * sizeof *slots);
    memory_free(uniques->slots);
    uniques->slots = slots;
    uniques->room = room;
    file_all(uniques);
    return E64_OK;
}

static e64_status enter(struct discovery *discovery, const char *name,
                        uint32_t hash, const struct link_binding *binding)
{
    // A plan's are its own.
    struct uniques *uniques = discovery->plan ? &discovery->uniques
                                              : &discovery->runtime->uniques;
    e64_status status = uniques->count == uniques->room ? grow(uniques)
                                                        : E64_OK;
    if (status != E64_OK)
        return status;
    char *copy = memory_copy(name);
    if (!copy)
        return fail_memory(strlen(name) + 1);
    uniques->entries[uniques->count++] = (struct unique_entry){
        .name = copy, .hash = hash, .definer = binding->definer,
        .value = binding->value, .size = binding->size,
        .definition = binding->definition, .type = binding->type,
        .entered_by = discovery,
    };
    file_entry(uniques, uniques->count - 1);
    return E64_OK;
}

static e64_status look_up(struct discovery *discovery, const char *name,
                          struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    uint32_t hash = elf_gnu_hash(name);
    struct unique_entry *entry = find(&runtime->uniques, name, hash);
    if (!entry)
        entry = find(&discovery->uniques, name, hash);
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
    if (entry->entered_by != discovery && !discovery->plan)
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
    if (find_in_host(discovery->snapshot, name, binding))
        return E64_OK;
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
    struct uniques *uniques = &runtime->uniques;
    for (uint32_t i = 0; i < uniques->count; i++) {
        struct unique_entry *entry = &uniques->entries[i];
        if (entry->definer == definer
            || (entered_by && entry->entered_by == entered_by))
            memory_free(entry->name);
        else
            uniques->entries[kept++] = *entry;
    }
    if (kept == uniques->count)
        return;
    uniques->count = kept;
    file_all(uniques);
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
    for (uint32_t i = 0; i < runtime->uniques.count; i++) {
        struct unique_entry *entry = &runtime->uniques.entries[i];
        if (entry->entered_by != discovery)
            continue;
        entry->entered_by = NULL;
        // Nobody may be bound to it yet.
        unique_keep_owner(runtime, entry->definer);
    }
    lock_give(&runtime->lock);
}

void unique_free(struct uniques *uniques)
{
    for (uint32_t i = 0; i < uniques->count; i++)
        memory_free(uniques->entries[i].name);
    memory_free(uniques->entries);
    memory_free(uniques->slots);
    *uniques = (struct uniques){ 0 };
}
