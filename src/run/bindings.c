// What the imports of a plugin are bound to, and who else would have them.

#include "run.h"

#include <string.h>

#include "../memory.h"
#include "text.h"

enum { MOST_OTHERS = 32 };

struct asking {
    const e64_plugin *plugin;
    const char *symbol; // NULL: all
    int (*visit)(void *data, const e64_binding *binding);
    void *data;
    // The objects of the scope, in order, for `others`; their records are held,
    // and what is the host's is by the snapshot.
    const struct elf_object **scope;
    uint32_t count, room;
    struct host_snapshot *snapshot;
    struct host_hold hold;
};

static const char *const names[] = {
    [E64_BOUND_SCOPE] = "scope",
    [E64_BOUND_OWN] = "own",
    [E64_BOUND_LOADER] = "loader",
    [E64_BOUND_INTERCEPTED] = "intercepted",
    [E64_BOUND_DEFINED] = "defined",
    [E64_BOUND_RESOLVED] = "resolved",
    [E64_BOUND_WAITING] = "waiting",
    [E64_BOUND_NOTHING] = "nothing",
};

// ------------------------------------------------------------------ scope ---

static bool in_scope(const struct asking *asking,
                     const struct elf_object *object)
{
    for (uint32_t i = 0; i < asking->count; i++)
        if (asking->scope[i] == object)
            return true;
    return false;
}

static void add_list(struct asking *asking,
                     const struct elf_object *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        e64_plugin *plugin = plugin_of(list[i]);
        if ((plugin && plugin->gone) || in_scope(asking, list[i])
            || asking->count == asking->room)
            continue;
        asking->scope[asking->count++] = list[i];
        if (plugin)
            plugin_hold(plugin);
    }
}

// What was opened when the plugin was mapped, as far as it is still open.
static const e64_plugin *root_of(const e64_plugin *plugin)
{
    while (plugin->loader && !plugin->scope)
        plugin = plugin->loader;
    return plugin;
}

// With the runtime's lock held.
static void make_scope(struct asking *asking)
{
    const e64_runtime *runtime = asking->plugin->runtime;
    const e64_plugin *root = root_of(asking->plugin);
    const struct elf_object *self = &asking->plugin->unit.object;
    const struct host_snapshot *snapshot = asking->snapshot;
    asking->room = snapshot->global_count + runtime->global_count
                 + root->scope_count + 1;
    asking->scope = memory_array(asking->room, sizeof *asking->scope);
    if (!asking->scope)
        asking->room = 0;
    if (plugin_is_symbolic(asking->plugin))
        add_list(asking, &self, 1);
    if (asking->plugin->deepbind)
        add_list(asking, root->scope, root->scope_count);
    add_list(asking, snapshot->globals, snapshot->global_count);
    add_list(asking, runtime->globals, runtime->global_count);
    add_list(asking, root->scope, root->scope_count);
    add_list(asking, &self, 1);
}

// The paths of those that define the symbol, but for what it is bound to: the
// strings are to be freed. With the runtime's lock held, under which nothing of
// it is unmapped.
static void find_others(const struct asking *asking, uint32_t index,
                        const struct elf_object *definer,
                        const char **others)
{
    const struct elf_symbols *symbols = asking->plugin->unit.object.symbols;
    Elf64_Sym symbol, found;
    uint32_t count = 0;
    elf_symbol(symbols, index, &symbol);
    const struct elf_name name = elf_symbol_name(symbols, index, &symbol);
    for (uint32_t i = 0; i < asking->count && count < MOST_OTHERS - 1; i++) {
        const struct elf_object *object = asking->scope[i];
        if (object == definer || (plugin_of(object) && plugin_of(object)->gone)
            || !elf_find(object->symbols, &name, ELF_WANT_DEFINED, &found))
            continue;
        others[count] = memory_copy(object->name);
        count += others[count] != NULL;
    }
    others[count] = NULL;
}

// ---------------------------------------------------------------- binding ---

static e64_bound bound_as(const struct asking *asking,
                          const struct link_binding *binding,
                          const Elf64_Sym *symbol)
{
    switch (binding->via) {
    case LINK_VIA_OVERRIDE: return E64_BOUND_LOADER;
    case LINK_VIA_INTERCEPT: return E64_BOUND_INTERCEPTED;
    case LINK_VIA_DEFINED: return E64_BOUND_DEFINED;
    case LINK_VIA_HOOK: return E64_BOUND_RESOLVED;
    }
    if (!binding->definer)
        return E64_BOUND_NOTHING;
    return binding->definer == &asking->plugin->unit.object
        && ELF64_ST_VISIBILITY(symbol->st_other) != STV_DEFAULT
        ? E64_BOUND_OWN : E64_BOUND_SCOPE;
}

static const char *version_of(const struct elf_object *object, uint32_t index,
                              bool needed)
{
    const struct elf_version *version = elf_symbol_version(object->symbols,
                                                           index);
    return version && version->needed == needed
         ? elf_string(object->symbols, version->name) : NULL;
}

// What becomes of it, and who else would have been taken.
static void add_message(struct text *text, const e64_binding *binding,
                        const char *wanter)
{
    static const char *const verbs[] = {
        [E64_BOUND_SCOPE] = "gets",
        [E64_BOUND_OWN] = "has its own",
        [E64_BOUND_LOADER] = "gets this loader's",
        [E64_BOUND_INTERCEPTED] = "gets what the policy intercepts it with for",
        [E64_BOUND_DEFINED] = "gets what the runtime defines as",
        [E64_BOUND_RESOLVED] = "gets what the resolve hook has answered for",
        [E64_BOUND_WAITING] = "has not called yet, and then looks for,",
        [E64_BOUND_NOTHING] = "gets no",
    };
    text_format(text, "%s %s '%s'%s%s%s", wanter, verbs[binding->bound],
                binding->symbol, binding->version ? " (version " : "",
                binding->version ? binding->version : "",
                binding->version ? ")" : "");
    if (binding->bound == E64_BOUND_SCOPE && binding->file)
        text_format(text, " from %s", binding->file);
    if (binding->bound == E64_BOUND_NOTHING)
        text_add(text, ", which is weak and which nothing defines");
    for (size_t i = 0; binding->others[i]; i++)
        text_format(text, "%s%s", i ? ", " : "; not from ", binding->others[i]);
    if (*binding->others)
        text_format(text, ", which define%s it too, but not first in the scope",
                    binding->others[1] ? "" : "s");
}

static int tell(struct asking *asking, e64_binding *binding, uint32_t index,
                const struct elf_object *definer)
{
    const char *others[MOST_OTHERS] = { NULL };
    if (asking->scope) {
        lock_take(&asking->plugin->runtime->lock);
        find_others(asking, index, definer, others);
        lock_give(&asking->plugin->runtime->lock);
    }
    binding->how = names[binding->bound];
    binding->others = others;
    struct text message = { 0 };
    add_message(&message, binding, asking->plugin->unit.object.name);
    binding->message = text_get(&message);
    int answer = asking->visit(asking->data, binding);
    text_free(&message);
    for (uint32_t i = 0; others[i]; i++)
        memory_free((void *)others[i]);
    return answer;
}

// What lies at an address, or NULL.
static const struct elf_object *object_at(const struct asking *asking,
                                          uint64_t address)
{
    e64_place place;
    if (plugin_place(address, &place))
        return &place.plugin->unit.object;
    const struct host_module *module = asking->snapshot
        ? host_containing(asking->snapshot, address) : NULL;
    return module ? &module->object : NULL;
}

static int tell_bound(struct asking *asking, const struct link_binding *bound)
{
    const struct elf_object *self = &asking->plugin->unit.object;
    const struct elf_object *definer = bound->definer;
    const e64_plugin *outside = asking->plugin->runtime->outside;
    Elf64_Sym symbol;
    // An address that the policy has given is whose it is.
    if (bound->via == LINK_VIA_DEFINED
        || (definer && outside && definer == &outside->unit.object))
        definer = object_at(asking, bound->value);
    elf_symbol(self->symbols, bound->symbol, &symbol);
    e64_binding binding = {
        .wanter = (e64_plugin *)asking->plugin,
        .symbol = elf_string(self->symbols, symbol.st_name),
        .version = version_of(self, bound->symbol, true),
        .bound = bound_as(asking, bound, &symbol),
        .kind = lookup_kind(bound->type),
    };
    if (definer) {
        binding.file = definer->name;
        binding.plugin = plugin_of(definer);
    }
    if (definer && bound->definition)
        binding.provided = version_of(definer, bound->definition, false);
    if (bound->asked
        || (bound->type != STT_TLS && bound->type != STT_GNU_IFUNC))
        binding.address = (void *)bound->value;
    return tell(asking, &binding, bound->symbol, definer);
}

// A slot that was left to its first call leads to where it was bound to then,
// or still to the plugin's own PLT.
static int tell_slot(struct asking *asking, const uint64_t *slot,
                     uint32_t index)
{
    const struct elf_object *self = &asking->plugin->unit.object;
    const uint64_t address = __atomic_load_n(slot, __ATOMIC_RELAXED);
    Elf64_Sym symbol;
    elf_symbol(self->symbols, index, &symbol);
    e64_binding binding = {
        .wanter = (e64_plugin *)asking->plugin,
        .symbol = elf_string(self->symbols, symbol.st_name),
        .version = version_of(self, index, true),
        .bound = E64_BOUND_WAITING,
    };
    bool own = address >= self->start && address < self->end;
    if (own && (symbol.st_shndx == SHN_UNDEF
                || address != elf_symbol_value(self, &symbol)))
        return tell(asking, &binding, index, NULL);
    binding.bound = E64_BOUND_SCOPE;
    binding.kind = E64_KIND_FUNCTION;
    binding.address = (void *)address;
    const struct elf_object *definer = object_at(asking, address);
    if (definer) {
        binding.file = definer->name;
        binding.plugin = plugin_of(definer);
    }
    return tell(asking, &binding, index, definer);
}

// -------------------------------------------------------------------- all ---

static bool is_asked(const struct asking *asking, uint32_t index)
{
    const struct elf_symbols *symbols = asking->plugin->unit.object.symbols;
    Elf64_Sym symbol;
    return elf_symbol(symbols, index, &symbol)
        && (!asking->symbol
            || strcmp(elf_string(symbols, symbol.st_name),
                      asking->symbol) == 0);
}

static int each(struct asking *asking)
{
    const struct link_unit *unit = &asking->plugin->unit;
    struct link_walk walk = { 0 };
    struct link_binding bound, before = { 0 };
    int answer = 0;
    while (!answer && link_next(unit, &walk, &bound)) {
        // One symbol may have been bound for calls and for its address.
        bool again = asking->symbol && before.symbol == bound.symbol
                  && before.definer == bound.definer;
        if (!again && is_asked(asking, bound.symbol))
            answer = tell_bound(asking, &bound);
        before = bound;
    }
    uint64_t *slot;
    uint32_t symbol;
    uint64_t slots = unit->lazy.wanted
                   ? unit->image.relocations.jmprel.size / sizeof(Elf64_Rela)
                   : 0;
    for (uint64_t i = 0; i < slots && !answer; i++)
        if (link_slot(unit, i, &slot, &symbol) && is_asked(asking, symbol)
            && !link_imports(unit, symbol))
            answer = tell_slot(asking, slot, symbol);
    return answer;
}

int e64_bindings(e64_plugin *plugin, const char *symbol,
                 int (*visit)(void *data, const e64_binding *binding),
                 void *data)
{
    struct asking asking = { .plugin = plugin, .symbol = symbol,
                             .visit = visit, .data = data };
    // A hook may ask while the imports are being looked up.
    if (!plugin || !visit || plugin->host || plugin->process
        || !plugin->unit.applied
        || atomic_load(&plugin->state) == E64_STATE_STOPPED)
        return 0;
    if (host_hold(&asking.snapshot, &asking.hold) != E64_OK)
        asking.snapshot = NULL;
    if (symbol && asking.snapshot) {
        lock_take(&plugin->runtime->lock);
        make_scope(&asking);
        lock_give(&plugin->runtime->lock);
    }
    int answer = each(&asking);
    for (uint32_t i = 0; i < asking.count; i++)
        plugin_drop(plugin_of(asking.scope[i]));
    memory_free(asking.scope);
    if (asking.snapshot) {
        host_let_go(&asking.hold);
        host_snapshot_release(asking.snapshot);
    }
    return answer;
}
