// Looks symbols up in what is open, as dlsym does.

#include "objects.h"

#include "../error.h"
#include "../tls/tls.h"
#include "work.h"

bool lookup_search(const struct elf_object *const *list, uint32_t count,
                   const char *text, const char *version,
                   struct lookup_found *found)
{
    struct elf_name name = version ? elf_name_version(text, version)
                                   : elf_name(text);
    enum elf_want want = version ? ELF_WANT_DEFINED
                                 : ELF_WANT_DEFINED | ELF_WANT_NEWEST;
    for (uint32_t i = 0; i < count; i++) {
        found->index = elf_find(list[i]->symbols, &name, want, &found->symbol);
        if (found->index) {
            found->object = list[i];
            found->name = elf_string(list[i]->symbols, found->symbol.st_name);
            return true;
        }
    }
    return false;
}

e64_kind lookup_kind(unsigned char type)
{
    switch (type) {
    case STT_OBJECT:
    case STT_COMMON: return E64_KIND_OBJECT;
    case STT_FUNC: return E64_KIND_FUNCTION;
    case STT_TLS: return E64_KIND_TLS;
    case STT_GNU_IFUNC: return E64_KIND_IFUNC;
    default: return E64_KIND_NOTYPE;
    }
}

void lookup_describe(const struct elf_object *object, uint32_t index,
                     const Elf64_Sym *symbol, e64_symbol *out)
{
    const struct elf_version *version = elf_symbol_version(object->symbols,
                                                           index);
    e64_plugin *owner = plugin_of(object);
    *out = (e64_symbol){
        .name = elf_string(object->symbols, symbol->st_name),
        .version = version && !version->needed
                 ? elf_string(object->symbols, version->name) : NULL,
        .size = symbol->st_size,
        .kind = lookup_kind(ELF64_ST_TYPE(symbol->st_info)),
        .plugin = owner && !owner->outside ? owner : NULL,
        .file = object->name,
    };
}

// STB_GNU_UNIQUE: the one definition of the runtime or the host.
static e64_status find_unique(e64_runtime *runtime,
                              const struct lookup_found *found,
                              uint64_t *value)
{
    const char *name = found->name;
    struct discovery discovery = { .runtime = runtime };
    struct link_binding binding = {
        .definer = found->object, .definition = found->index,
        .value = *value, .size = found->symbol.st_size,
        .type = ELF64_ST_TYPE(found->symbol.st_info),
    };
    e64_status status = host_hold(&discovery.snapshot, &discovery.hold);
    if (status != E64_OK)
        return status;
    bool again;
    do {
        status = unique_bind(&discovery, name, &binding);
        again = discovery.awaited && work_wait(discovery.awaited);
        plugin_drop(discovery.awaited);
        discovery.awaited = NULL;
    } while (again);
    host_let_go(&discovery.hold);
    host_snapshot_release(discovery.snapshot);
    if (status != E64_OK)
        return status;
    *value = binding.value;
    unique_keep_owner(runtime, binding.definer);
    unique_settle(&discovery, true);
    return E64_OK;
}

// The calling thread's copy. The file may lie about what is thread-local.
static e64_status find_tls(const struct lookup_found *found,
                           const e64_plugin *owner, void **address)
{
    const struct elf_object *object = found->object;
    uint64_t offset = found->symbol.st_value;
    if (!object->tls_module
        || (owner && offset > owner->unit.image.tls_size))
        return fail(E64_BADFORMAT, "%s: '%s' is thread-local (STT_TLS), and "
                    "its st_value is not within PT_TLS", object->name,
                    found->name);
    // The file says how much a thread needs, and may lie about that as well.
    if (!tls_make_block(object->tls_module))
        return fail_memory(owner ? owner->unit.image.tls_size : 0);
    *address = tls_get_addr(&(struct tls_index){ object->tls_module, offset });
    return E64_OK;
}

// A hook that is asked for a plan may look names up in what is not mapped.
static bool is_somewhere(const struct elf_object *object,
                         const e64_plugin *owner)
{
    return owner ? owner->unit.mapped || owner->outside
                 : !host_module_of(object)->foreseen;
}

e64_status lookup_address(e64_runtime *runtime,
                          const struct lookup_found *found, void **address)
{
    const struct elf_object *object = found->object;
    uint64_t value = elf_symbol_value(object, &found->symbol);
    e64_plugin *owner = plugin_of(object);
    if (!is_somewhere(object, owner))
        return fail(E64_START, "%s: '%s' has no address yet: opening it is "
                    "being planned", object->name, found->name);
    switch (ELF64_ST_TYPE(found->symbol.st_info)) {
    case STT_TLS:
        return find_tls(found, owner, address);
    case STT_GNU_IFUNC:
        if (owner && !owner->sealed)
            return fail(E64_START, "%s: '%s' is an IFUNC, whose resolver runs "
                        "when the plugin is started, and it has not been "
                        "started yet", object->name, found->name);
        *address = ((void *(*)(void))value)();
        return E64_OK;
    }
    if (ELF64_ST_BIND(found->symbol.st_info) == STB_GNU_UNIQUE) {
        e64_status status = find_unique(runtime, found, &value);
        if (status != E64_OK)
            return status;
    }
    *address = (void *)value;
    return E64_OK;
}

// What nothing exports is found in a plugin itself, if it is made of objects,
// after what it exports and before what others do.
static bool search_statics(const e64_plugin *plugin, const char *text,
                           const char *version, struct lookup_found *found,
                           e64_symbol *out)
{
    const struct elf_symbols *statics = statics_of(plugin);
    if (version || !statics_find(statics, text, &found->index, &found->symbol))
        return false;
    found->object = &plugin->unit.object;
    found->name = elf_string(statics, found->symbol.st_name);
    *out = (e64_symbol){
        .name = found->name, .size = found->symbol.st_size,
        .kind = lookup_kind(ELF64_ST_TYPE(found->symbol.st_info)),
        .plugin = (e64_plugin *)plugin, .file = found->object->name,
    };
    return true;
}

static e64_status look_up(e64_plugin *plugin, const char *text,
                          const char *version, e64_symbol *out)
{
    const struct elf_object *const *list = plugin->scope;
    uint32_t count = plugin->scope_count;
    const struct elf_object *self = &plugin->unit.object;
    struct host_snapshot *snapshot = NULL;
    struct host_hold hold;
    if (plugin->process) {
        e64_status status = host_hold(&snapshot, &hold);
        if (status != E64_OK)
            return status;
        list = snapshot->globals;
        count = snapshot->global_count;
    } else if (!list) { // came along with another
        list = &self;
        count = 1;
    }
    struct lookup_found found;
    e64_status status;
    bool is_found = lookup_search(list, count, text, version, &found);
    bool is_static = (!is_found || found.object != self)
        && search_statics(plugin, text, version, &found, out);
    if (is_static || is_found) {
        if (!is_static)
            lookup_describe(found.object, found.index, &found.symbol, out);
        status = lookup_address(plugin->runtime, &found, &out->address);
    } else {
        status = lookup_fail(plugin, text, version, list, count);
    }
    if (snapshot) {
        host_let_go(&hold);
        host_snapshot_release(snapshot);
    }
    return status;
}

static e64_status check(const e64_plugin *plugin, const char *name)
{
    if (!plugin || !name)
        return fail(E64_INVALID, "e64_lookup: plugin, name and symbol must not "
                    "be NULL");
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED) {
        fail(E64_CLOSED, "%s: has been closed", plugin->unit.object.name);
        error_path(plugin->unit.object.name);
        return E64_CLOSED;
    }
    return E64_OK;
}

e64_status e64_lookup(e64_plugin *plugin, const char *name,
                      const char *version, e64_symbol *symbol,
                      e64_error *error)
{
    e64_status status = check(plugin, symbol ? name : NULL);
    if (status == E64_OK)
        status = look_up(plugin, name, version, symbol);
    if (status != E64_OK && plugin)
        error_about(plugin->unit.object.name);
    return error_give(status, error);
}

void *e64_address(e64_plugin *plugin, const char *name)
{
    e64_symbol symbol;
    return e64_lookup(plugin, name, NULL, &symbol, NULL) == E64_OK
        ? symbol.address : NULL;
}

e64_function e64_entry(e64_plugin *plugin, const char *name)
{
    return (e64_function)e64_address(plugin, name);
}

struct visiting {
    const struct elf_object *object;
    int (*visit)(void *data, const e64_symbol *symbol);
    void *data;
};

static int visit_symbol(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    const struct visiting *visiting = data;
    e64_symbol out;
    lookup_describe(visiting->object, index, symbol, &out);
    if (out.kind != E64_KIND_TLS && out.kind != E64_KIND_IFUNC)
        out.address = (void *)elf_symbol_value(visiting->object, symbol);
    return visiting->visit(visiting->data, &out);
}

int e64_symbols(e64_plugin *plugin,
                int (*visit)(void *data, const e64_symbol *symbol),
                void *data)
{
    const struct elf_object *object = plugin->host ? &plugin->host->object
                                                   : &plugin->unit.object;
    struct visiting visiting = { object, visit, data };
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED || plugin->process)
        return 0;
    return elf_symbols_each(object->symbols, visit_symbol, &visiting);
}
