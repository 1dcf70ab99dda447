// Looks symbols up for the program.

#include "recall.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "objects.h"

// What nothing exports is found in a plugin itself, if it is made of objects,
// after what it exports and before what others do.
static bool search_statics(const e64_plugin *plugin,
                           const struct elf_name *name,
                           struct lookup_found *found, e64_symbol *out)
{
    const struct elf_symbols *statics = statics_of(plugin);
    if (name->version
        || !statics_find(statics, name->text, &found->index, &found->symbol))
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

// Where a plugin is to be looked in.
struct looking {
    e64_plugin *plugin;
    const struct elf_object *const *list;
    uint32_t count;
    const struct elf_object *self; // `list` of one that came along with another
    struct host_snapshot *snapshot; // of the host that is looked in
    struct host_hold hold;
};

static e64_status begin(struct looking *looking, e64_plugin *plugin)
{
    *looking = (struct looking){ .plugin = plugin,
                                 .self = &plugin->unit.object };
    // It may be opened by name meanwhile, and have one from then on.
    looking->list = __atomic_load_n(&plugin->scope, __ATOMIC_ACQUIRE);
    looking->count = looking->list ? plugin->scope_count : 0;
    if (plugin->process) {
        e64_status status = host_hold(&looking->snapshot, &looking->hold);
        if (status != E64_OK)
            return status;
        looking->list = looking->snapshot->globals;
        looking->count = looking->snapshot->global_count;
    } else if (!looking->list) {
        looking->list = &looking->self;
        looking->count = 1;
    }
    return E64_OK;
}

static void end(struct looking *looking)
{
    if (!looking->snapshot)
        return;
    host_let_go(&looking->hold);
    host_snapshot_release(looking->snapshot);
}

// Does its list stay as it is? Of what glibc has, what comes first does: what
// was there before the process started.
static bool lasts(const struct looking *looking,
                  const struct elf_object *found)
{
    if (looking->plugin->process)
        return found && host_module_of(found)->startup;
    return looking->list != &looking->self;
}

static void remember(const struct looking *looking,
                     const struct recall *recall,
                     const struct lookup_found *found, bool is_static,
                     const e64_symbol *symbol)
{
    const struct elf_object *object = found->object;
    const unsigned char info = found->symbol.st_info;
    if (!lasts(looking, object) || plugin_of(object) != symbol->plugin)
        return;
    bool direct = symbol->kind != E64_KIND_TLS
               && symbol->kind != E64_KIND_IFUNC
               && ELF64_ST_BIND(info) != STB_GNU_UNIQUE;
    if (direct)
        recall_found(recall, symbol, object);
    else if (!is_static)
        recall_from(recall, symbol, object, found->index);
}

// What nothing defines is no failure yet.
static e64_status search(struct looking *looking,
                         const struct elf_name *name,
                         const struct recall *recall, e64_symbol *out,
                         bool *missing)
{
    struct lookup_found found;
    bool is_found = lookup_search(looking->list, looking->count, name, &found);
    bool is_static = (!is_found || found.object != looking->self)
        && search_statics(looking->plugin, name, &found, out);
    *missing = !is_found && !is_static;
    if (*missing) {
        if (recall && lasts(looking, NULL))
            recall_missing(recall);
        return E64_OK;
    }
    if (!is_static)
        lookup_describe(found.object, found.index, &found.symbol, out);
    e64_status status = lookup_address(looking->plugin->runtime, &found,
                                       &out->address);
    if (status == E64_OK && recall)
        remember(looking, recall, &found, is_static, out);
    return status;
}

static e64_status look(e64_plugin *plugin, const struct elf_name *name,
                       const struct recall *recall, e64_symbol *symbol,
                       bool *missing)
{
    struct looking looking;
    e64_status status = begin(&looking, plugin);
    if (status != E64_OK)
        return status;
    status = search(&looking, name, recall, symbol, missing);
    end(&looking);
    return status;
}

// The address of what was found before, which has none of its own.
static e64_status address_again(const e64_plugin *plugin,
                                const struct elf_object *object,
                                uint32_t index, e64_symbol *symbol)
{
    struct lookup_found found = { .object = object, .index = index,
                                  .name = symbol->name };
    elf_symbol(object->symbols, index, &found.symbol);
    return lookup_address(plugin->runtime, &found, &symbol->address);
}

// Says why not, of what is not defined.
static e64_status explain(e64_plugin *plugin, const char *text,
                          const char *version)
{
    struct looking looking;
    e64_status status = begin(&looking, plugin);
    if (status != E64_OK)
        return status;
    status = lookup_fail(plugin, text, version, looking.list, looking.count);
    end(&looking);
    return status;
}

// What is missing: who, and the name and the version after it.
struct miss {
    uint64_t generation;
    char text[ERROR_LATER - sizeof(uint64_t)];
};

static void tell_later(const void *data)
{
    const struct miss *miss = data;
    const char *version = miss->text + strlen(miss->text) + 1;
    e64_plugin *plugin = runtimes_pin(miss->generation);
    if (!*version)
        version = NULL;
    if (!plugin) {
        fail(E64_UNDEFINED, "a plugin that has been closed since does not "
             "define '%s'", miss->text);
        error_symbol(miss->text, version);
        return;
    }
    explain(plugin, miss->text, version);
    runtimes_unpin(plugin);
}

// Names much like it take a thousand times longer to find than it takes to know
// that it is not there: they are looked for when somebody asks what was wrong.
static bool fail_later(const e64_plugin *plugin, const char *text,
                             const char *version)
{
    size_t size = strlen(text) + 1;
    size_t version_size = version ? strlen(version) + 1 : 1;
    if (size + version_size > sizeof((struct miss *)0)->text)
        return false;
    struct miss *miss = error_later(tell_later);
    miss->generation = plugin->generation;
    memcpy(miss->text, text, size);
    memcpy(miss->text + size, version ? version : "", version_size);
    return true;
}

static e64_status give_missing(e64_plugin *plugin, const char *text,
                               const char *version, e64_error *error)
{
    if (!error && fail_later(plugin, text, version))
        return E64_UNDEFINED;
    return error_give(explain(plugin, text, version), error);
}

static e64_status give_failure(e64_status status, const e64_plugin *plugin,
                               e64_error *error)
{
    if (plugin)
        error_about(plugin->unit.object.name);
    return error_give(status, error);
}

static e64_status check(const e64_plugin *plugin, const void *name,
                        const e64_symbol *symbol)
{
    if (!plugin || !name || !symbol)
        return fail(E64_INVALID, "a lookup's plugin, name or key, and symbol "
                    "must not be NULL");
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED) {
        fail(E64_CLOSED, "%s: has been closed", plugin->unit.object.name);
        error_path(plugin->unit.object.name);
        return E64_CLOSED;
    }
    return E64_OK;
}

// `wanted` is NULL when the name has not been hashed yet, `asked` when it is
// not to be recalled.
static e64_status answer(e64_plugin *plugin, const char *text,
                         const char *version, const struct elf_name *wanted,
                         const struct recall *asked, e64_symbol *symbol,
                         e64_error *error)
{
    const struct elf_object *object;
    uint32_t index;
    bool missing = false;
    e64_status status = E64_OK;
    enum recalled recalled = asked ? recall(asked, symbol, &object, &index)
                                   : RECALLED_NOT;
    if (recalled == RECALLED_FOUND)
        return E64_OK;
    if (recalled == RECALLED_FROM) {
        status = address_again(plugin, object, index, symbol);
    } else if (recalled == RECALLED_NOT) {
        const struct elf_name name = wanted ? *wanted
                                            : lookup_name(text, version);
        status = look(plugin, &name, asked, symbol, &missing);
    }
    if (missing || recalled == RECALLED_MISSING)
        return give_missing(plugin, text, version, error);
    return status == E64_OK ? status : give_failure(status, plugin, error);
}

e64_status e64_lookup(e64_plugin *plugin, const char *name,
                      const char *version, e64_symbol *symbol,
                      e64_error *error)
{
    struct recall asked;
    e64_status status = check(plugin, name, symbol);
    if (status != E64_OK)
        return give_failure(status, plugin, error);
    if (version)
        return answer(plugin, name, version, NULL, NULL, symbol, error);
    recall_name(&asked, plugin, name);
    return answer(plugin, name, NULL, NULL, &asked, symbol, error);
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

struct e64_key {
    uint64_t number;
    struct elf_name name; // of what stands behind
    char text[];
};

static e64_status make_key(const char *name, const char *version,
                           e64_key **key)
{
    static atomic_ullong numbers;
    if (!name || !key)
        return fail(E64_INVALID, "e64_key_new: name and key must not be NULL");
    size_t size = strlen(name) + 1;
    size_t version_size = version ? strlen(version) + 1 : 0;
    e64_key *made = memory_new(sizeof *made + size + version_size);
    if (!made)
        return fail_memory(sizeof *made + size + version_size);
    memcpy(made->text, name, size);
    if (version)
        memcpy(made->text + size, version, version_size);
    made->number = atomic_fetch_add(&numbers, 1) + 1;
    made->name = lookup_name(made->text, version ? made->text + size : NULL);
    *key = made;
    return E64_OK;
}

e64_status e64_key_new(const char *name, const char *version, e64_key **key,
                       e64_error *error)
{
    return error_give(make_key(name, version, key), error);
}

void e64_key_free(e64_key *key)
{
    memory_free(key);
}

e64_status e64_lookup_key(e64_plugin *plugin, const e64_key *key,
                          e64_symbol *symbol, e64_error *error)
{
    struct recall asked;
    e64_status status = check(plugin, key, symbol);
    if (status != E64_OK)
        return give_failure(status, plugin, error);
    recall_key(&asked, plugin, key->number);
    return answer(plugin, key->name.text, key->name.version, &key->name, &asked,
                  symbol, error);
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
    if (!plugin || !visit)
        return 0;
    const struct elf_object *object = plugin->host ? &plugin->host->object
                                                   : &plugin->unit.object;
    struct visiting visiting = { object, visit, data };
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED || plugin->process)
        return 0;
    return elf_symbols_each(object->symbols, visit_symbol, &visiting);
}
