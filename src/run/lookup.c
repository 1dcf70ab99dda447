// Finds definitions in objects, as dlsym does, and what they stand for.

#include "run.h"

#include "../error.h"
#include "../tls/tls.h"
#include "work.h"

struct elf_name lookup_name(const char *text, const char *version)
{
    return version ? elf_name_version(text, version) : elf_name(text);
}

bool lookup_search(const struct elf_object *const *list, uint32_t count,
                   const struct elf_name *name, struct lookup_found *found)
{
    enum elf_want want = name->version ? ELF_WANT_DEFINED
                                       : ELF_WANT_DEFINED | ELF_WANT_NEWEST;
    for (uint32_t i = 0; i < count; i++) {
        found->index = elf_find(list[i]->symbols, name, want, &found->symbol);
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
