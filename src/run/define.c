// What a runtime defines by itself: e64_define and its like. Each open looks
// names up in an object that is written from what is defined when it begins;
// what a plugin is bound to is counted.

#include "define.h"

#include <string.h>

#include "../elf/written.h"
#include "../error.h"
#include "../mapping.h"
#include "../memory.h"

struct definition {
    struct definition *next; // in its chain
    struct definition *before; // check_duplicates
    char *name, *version;    // version: NULL without
    uint64_t size;
    void *address; // of the definition, or of its cell
    e64_kind kind;
    bool cell;
    bool gone;      // undefined; its cell is still called
    uint32_t hash;  // of the name
    uint32_t users; // plugins that are bound to it
};

enum { CHAINS = 256 };

struct definitions {
    struct definition *chains[CHAINS];
    struct definition *gone;
    uint32_t count;
    struct cells *cells;
    e64_plugin *snapshot; // of what is defined now, or NULL
};

// What a plugin is bound to: in its record.
struct define_used {
    struct definition *definition;
};

static bool is_same(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

static bool is_it(const struct definition *definition, uint32_t hash,
                  const char *name, const char *version)
{
    return definition->hash == hash && strcmp(definition->name, name) == 0
        && is_same(definition->version, version);
}

static struct definition **find(struct definitions *all, const char *name,
                                const char *version)
{
    uint32_t hash = elf_gnu_hash(name);
    struct definition **at = &all->chains[hash % CHAINS];
    while (*at && !is_it(*at, hash, name, version))
        at = &(*at)->next;
    return at;
}

static void release(struct definition *definition)
{
    memory_free(definition->name);
    memory_free(definition->version);
    memory_free(definition);
}

// --------------------------------------------------------------- defining ---

static e64_status check(const e64_definition *given, size_t index)
{
    const char *name = given->name;
    if (!name || !*name)
        return fail(E64_INVALID, "e64_define: the definition with index %zu "
                    "has no name", index);
    if (given->kind != E64_KIND_NOTYPE && given->kind != E64_KIND_OBJECT
        && given->kind != E64_KIND_FUNCTION)
        return fail(E64_INVALID, "e64_define: '%s' can be a function or an "
                    "object, nothing else", name);
    if (!given->address)
        return fail(E64_INVALID, "e64_define: '%s' has no address; "
                    "e64_undefine takes a name back", name);
    if (given->cell && given->kind != E64_KIND_FUNCTION)
        return fail(E64_INVALID, "e64_define: only functions have cells; '%s' "
                    "is none: leave its cell 0", name);
    return E64_OK;
}

static e64_status make(const e64_definition *given,
                       struct definition **made)
{
    struct definition *definition = memory_new(sizeof *definition);
    if (!definition)
        return fail_memory(sizeof *definition);
    definition->name = memory_copy(given->name);
    if (given->version && *given->version)
        definition->version = memory_copy(given->version);
    if (!definition->name
        || (given->version && *given->version && !definition->version)) {
        release(definition);
        return fail_memory(strlen(given->name) + 1);
    }
    definition->hash = elf_gnu_hash(given->name);
    definition->address = given->address;
    definition->size = given->size;
    definition->kind = given->kind;
    definition->cell = given->cell;
    *made = definition;
    return E64_OK;
}

// With the runtime's lock held.
static e64_status get(e64_runtime *runtime, struct definitions **all)
{
    if (!runtime->definitions)
        runtime->definitions = memory_new(sizeof *runtime->definitions);
    *all = runtime->definitions;
    atomic_store(&runtime->defines, *all != NULL);
    return *all ? E64_OK : fail_memory(sizeof **all);
}

// `known`: what is defined, or NULL when it is twice in what is to be defined.
static e64_status fail_duplicate(const struct definition *made,
                                 const struct definition *known)
{
    fail(E64_DUPLICATE, "e64_define: '%s'%s%s%s %s", made->name,
         made->version ? " (version " : "", made->version ? made->version : "",
         made->version ? ")" : "",
         !known ? "is defined twice in the same call; leave one out"
         : !made->cell ? "is defined already; undefine it first"
         : "is defined already, without a cell that would go on to the new "
           "one; undefine it first");
    error_symbol(made->name, made->version);
    return E64_DUPLICATE;
}

// Those that come before one in the list are found by their hash, in chains of
// their own.
static e64_status check_duplicates(struct definitions *all,
                                   struct definition *list, size_t count)
{
    struct definition **last = memory_array(count, sizeof *last);
    e64_status status = last ? E64_OK : fail_memory(count * sizeof *last);
    for (struct definition *made = list; status == E64_OK && made;
         made = made->next) {
        const struct definition *known = *find(all, made->name, made->version);
        struct definition **slot = &last[made->hash % count];
        const struct definition *other = *slot;
        while (other && !is_it(other, made->hash, made->name, made->version))
            other = other->before;
        made->before = *slot;
        *slot = made;
        if (other || (known && !(known->cell && made->cell)))
            status = fail_duplicate(made, other ? NULL : known);
    }
    memory_free(last);
    return status;
}

// All that can fail comes first.
static e64_status make_cells(struct definitions *all, struct definition *list)
{
    for (struct definition *made = list; made; made = made->next) {
        struct definition *known = *find(all, made->name, made->version);
        if (!made->cell || known)
            continue;
        void *cell = cell_new(&all->cells, made->address);
        if (!cell) {
            for (struct definition *other = list; other != made;
                 other = other->next)
                if (other->cell && !*find(all, other->name, other->version))
                    cell_free(&all->cells, other->address);
            return error_pending()->status;
        }
        made->address = cell;
    }
    return E64_OK;
}

static void forget_snapshot(struct definitions *all)
{
    plugin_drop(all->snapshot);
    all->snapshot = NULL;
}

static void enter(struct definitions *all, struct definition *made)
{
    struct definition **at = find(all, made->name, made->version);
    made->next = NULL;
    if (*at) {
        cell_set((*at)->address, made->address);
        release(made);
    } else {
        *at = made;
        all->count++;
    }
}

// Those that are made, on a list, become known, or none of them. What has a
// cell already goes on to its new address. With the runtime's lock held.
static e64_status enter_all(e64_runtime *runtime, struct definition **list,
                            size_t count)
{
    struct definitions *all;
    e64_status status = get(runtime, &all);
    if (status == E64_OK)
        status = check_duplicates(all, *list, count);
    if (status == E64_OK)
        status = make_cells(all, *list);
    if (status != E64_OK)
        return status;
    forget_snapshot(all);
    while (*list) {
        struct definition *made = *list;
        *list = made->next;
        enter(all, made);
    }
    return E64_OK;
}

static e64_status define(e64_runtime *runtime,
                         const e64_definition *definitions, size_t count)
{
    const size_t least = offsetof(e64_definition, cell) + 1;
    struct definition *list = NULL, **last = &list;
    if (!runtime || (count && !definitions))
        return fail(E64_INVALID, "e64_define: runtime and definitions must not "
                    "be NULL");
    size_t size = count ? definitions->struct_size : least;
    if (size < least)
        return fail(E64_INVALID, "e64_define: struct_size of a definition is "
                    "%zu, less than %zu; set it to sizeof(e64_definition)",
                    size, least);
    e64_status status = E64_OK;
    for (size_t i = 0; status == E64_OK && i < count; i++) {
        e64_definition given = { 0 };
        memcpy(&given, (const char *)definitions + i * size,
               size < sizeof given ? size : sizeof given);
        status = check(&given, i);
        if (status == E64_OK)
            status = make(&given, last);
        if (status == E64_OK)
            last = &(*last)->next;
    }
    if (status == E64_OK && count) {
        lock_take(&runtime->lock);
        status = enter_all(runtime, &list, count);
        lock_give(&runtime->lock);
    }
    while (list) {
        struct definition *next = list->next;
        release(list);
        list = next;
    }
    return status;
}

e64_status e64_define(e64_runtime *runtime, const e64_definition *definition,
                      e64_error *error)
{
    return error_give(define(runtime, definition, 1), error);
}

e64_status e64_define_all(e64_runtime *runtime,
                          const e64_definition *definitions, size_t count,
                          e64_error *error)
{
    return error_give(define(runtime, definitions, count), error);
}

// What is still called through a cell stays until nobody is bound to it.
static void drop(struct definitions *all, struct definition *definition)
{
    if (definition->users) {
        definition->gone = true;
        definition->next = all->gone;
        all->gone = definition;
        return;
    }
    if (definition->cell)
        cell_free(&all->cells, definition->address);
    release(definition);
}

static e64_status undefine(e64_runtime *runtime, const char *name,
                           const char *version)
{
    struct definitions *all = runtime->definitions;
    if (version && !*version)
        version = NULL;
    struct definition **at = all ? find(all, name, version) : NULL;
    if (!at || !*at) {
        fail(E64_UNDEFINED, "e64_undefine: '%s'%s%s%s is not defined by the "
             "runtime", name, version ? " (version " : "",
             version ? version : "", version ? ")" : "");
        error_symbol(name, version);
        return E64_UNDEFINED;
    }
    struct definition *definition = *at;
    if (definition->users && !definition->cell) {
        fail(E64_INUSE, "e64_undefine: '%s' is in use by %u plugin%s that "
             "%s open; close %s first, or define it with a cell", name,
             definition->users, definition->users > 1 ? "s" : "",
             definition->users > 1 ? "are" : "is",
             definition->users > 1 ? "them" : "it");
        error_symbol(name, version);
        return E64_INUSE;
    }
    *at = definition->next;
    all->count--;
    forget_snapshot(all);
    drop(all, definition);
    return E64_OK;
}

e64_status e64_undefine(e64_runtime *runtime, const char *name,
                        const char *version, e64_error *error)
{
    if (!runtime || !name)
        return error_give(fail(E64_INVALID, "e64_undefine: runtime and name "
                               "must not be NULL"), error);
    lock_take(&runtime->lock);
    e64_status status = undefine(runtime, name, version);
    lock_give(&runtime->lock);
    return error_give(status, error);
}

// ---------------------------------------------------------------- looking ---

static e64_status write(const struct definitions *all, struct elf_file *file)
{
    struct elf_written *rows = memory_array(all->count, sizeof *rows);
    uint32_t count = 0;
    if (!rows)
        return fail_memory(all->count * sizeof *rows);
    for (int i = 0; i < CHAINS; i++)
        for (const struct definition *at = all->chains[i]; at; at = at->next)
            rows[count++] = (struct elf_written){
                at->name, at->version, (uintptr_t)at->address, at->size,
                at->kind,
            };
    e64_status status = elf_write(rows, count, file->name, &file->mapping,
                                  &file->mapped);
    file->view = (struct view){ file->mapping, file->mapped };
    memory_free(rows);
    return status;
}

// With the runtime's lock held.
static e64_status make_snapshot(e64_runtime *runtime, e64_plugin **made)
{
    e64_plugin *plugin;
    e64_status status = plugin_new_outside(runtime, "(definitions)", &plugin);
    if (status != E64_OK)
        return status;
    status = write(runtime->definitions, &plugin->unit.file);
    if (status == E64_OK)
        status = link_read(&plugin->unit);
    if (status == E64_OK) {
        *made = plugin;
        return status;
    }
    // What was written here can only lack memory; it is no file to be named.
    size_t size = plugin->unit.file.mapped;
    plugin_drop(plugin);
    return status == E64_NOMEMORY ? fail_memory(size) : status;
}

e64_status define_snapshot(e64_runtime *runtime, e64_plugin **snapshot)
{
    e64_status status = E64_OK;
    *snapshot = NULL;
    lock_take(&runtime->lock);
    struct definitions *all = runtime->definitions;
    if (all && all->count && !all->snapshot)
        status = make_snapshot(runtime, &all->snapshot);
    if (status == E64_OK && all && all->snapshot)
        *snapshot = plugin_hold(all->snapshot);
    lock_give(&runtime->lock);
    return status;
}

// ----------------------------------------------------------------- using ---

static e64_status use(e64_plugin *plugin, struct definition *definition)
{
    for (uint32_t i = 0; i < plugin->used_count; i++)
        if (plugin->used[i].definition == definition)
            return E64_OK;
    uint32_t count = plugin->used_count;
    if ((count & (count - 1)) == 0) { // grows when it is a power of two
        struct define_used *used = memory_resize(plugin->used,
            (count ? 2 * count : 1) * sizeof *used);
        if (!used)
            return fail_memory(sizeof *used);
        plugin->used = used;
    }
    plugin->used[plugin->used_count++].definition = definition;
    definition->users++;
    return E64_OK;
}

e64_status define_use(e64_plugin *plugin, const e64_plugin *snapshot,
                      uint32_t index)
{
    const struct elf_symbols *symbols = snapshot->unit.object.symbols;
    const struct elf_version *version = elf_symbol_version(symbols, index);
    Elf64_Sym symbol = { 0 };
    elf_symbol(symbols, index, &symbol);
    const char *name = elf_string(symbols, symbol.st_name);
    e64_runtime *runtime = plugin->runtime;
    lock_take(&runtime->lock);
    struct definition *definition = *find(runtime->definitions, name, version
        ? elf_string(symbols, version->name) : NULL);
    e64_status status;
    if (!definition || (uintptr_t)definition->address != symbol.st_value)
        status = fail(E64_CHANGED, "'%s' has been defined anew while %s was "
                      "opened", name, plugin->unit.object.name);
    else
        status = use(plugin, definition);
    lock_give(&runtime->lock);
    return status;
}

static void unuse(struct definitions *all, struct definition *definition)
{
    if (--definition->users || !definition->gone)
        return;
    struct definition **at = &all->gone;
    while (*at != definition)
        at = &(*at)->next;
    *at = definition->next;
    drop(all, definition);
}

void define_unuse(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    if (!plugin->used)
        return;
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < plugin->used_count; i++)
        unuse(runtime->definitions, plugin->used[i].definition);
    lock_give(&runtime->lock);
    memory_free(plugin->used);
    plugin->used = NULL;
    plugin->used_count = 0;
}

void define_free(e64_runtime *runtime)
{
    struct definitions *all = runtime->definitions;
    if (!all)
        return;
    forget_snapshot(all);
    for (int i = 0; i < CHAINS; i++) {
        while (all->chains[i]) {
            struct definition *next = all->chains[i]->next;
            release(all->chains[i]);
            all->chains[i] = next;
        }
    }
    cells_free(&all->cells);
    memory_free(all);
    runtime->definitions = NULL;
}
