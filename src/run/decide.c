// What plugins import and ask dlsym for, under the policy: the rules of allow,
// deny and intercept, and the resolve hook.

#include "decide.h"

#include <string.h>

#include "../error.h"
#include "hooks.h"
#include "overrides.h"

// ---------------------------------------------------------------- denying ---

static e64_status deny(const char *wanter, const char *name,
                       const char *version, const char *by)
{
    if (by)
        fail(E64_DENIED, "%s needs '%s'%s%s%s, which the policy denies by "
             "'%s'; take that off `deny`, or do without", wanter, name,
             version ? " (version " : "", version ? version : "",
             version ? ")" : "", by);
    else
        fail(E64_DENIED, "%s needs '%s'%s%s%s, which the policy does not "
             "allow; put it on `allow`, or do without", wanter, name,
             version ? " (version " : "", version ? version : "",
             version ? ")" : "");
    error_wanter(wanter);
    error_symbol(name, version);
    return E64_DENIED;
}

// ------------------------------------------------------------ intercepting ---

// Not inline: an e64_error takes more of a small stack than all else.
static __attribute__((noinline)) e64_status
choose(const e64_plugin *plugin, const e64_intercept *intercept,
       const e64_import *import, const e64_symbol *original, void **address)
{
    e64_runtime *runtime = plugin->runtime;
    struct hook_call call;
    e64_error error;
    *address = intercept->address;
    if (!intercept->choose)
        return E64_OK;
    *address = NULL;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "intercept");
    call.import = import;
    e64_status answer = intercept->choose(intercept->data, runtime, import,
                                          original, address, &error);
    hook_leave(&call);
    if (answer == E64_OK && !call.misused)
        return E64_OK;
    return hook_failed(&call, answer, &error, plugin->unit.object.name);
}

// The owner of addresses that the policy gives. Nothing is ever looked up in
// it.
static e64_status find_outside(e64_runtime *runtime, e64_plugin **outside)
{
    e64_plugin *made;
    lock_take(&runtime->lock);
    *outside = runtime->outside;
    lock_give(&runtime->lock);
    if (*outside)
        return E64_OK;
    e64_status status = plugin_new_outside(runtime, "(policy)", &made);
    if (status != E64_OK)
        return status;
    lock_take(&runtime->lock);
    if (!runtime->outside) {
        runtime->outside = made;
        made = NULL;
    }
    *outside = runtime->outside;
    lock_give(&runtime->lock);
    plugin_drop(made);
    return E64_OK;
}

// For a plan nothing is where it would be.
static bool is_mapped(const struct elf_object *object)
{
    const e64_plugin *plugin = plugin_of(object);
    return plugin ? plugin->unit.mapped : !host_module_of(object)->foreseen;
}

// What the import would have got. The host's IFUNC resolvers may be asked at
// any time; those of plugins only once they are sealed.
static uint64_t address_of(const struct link_binding *binding)
{
    if (!binding->definer || !is_mapped(binding->definer))
        return 0;
    if (binding->type != STT_GNU_IFUNC)
        return binding->value;
    const e64_plugin *owner = plugin_of(binding->definer);
    return !owner || owner->sealed
         ? ((uint64_t (*)(void))binding->value)() : 0;
}

static void describe(const struct link_binding *binding, const char *name,
                     uint64_t address, e64_symbol *symbol)
{
    Elf64_Sym found;
    *symbol = (e64_symbol){ .name = name };
    if (binding->definer && binding->definition
        && elf_symbol(binding->definer->symbols, binding->definition, &found))
        lookup_describe(binding->definer, binding->definition, &found, symbol);
    symbol->address = (void *)address;
}

static e64_status refuse_tls(const char *wanter, const char *name,
                             const char *who)
{
    fail(E64_UNSUPPORTED, "%s needs '%s', a thread-local variable, for which "
         "%s has an address: it would have to be another one in each thread; "
         "have a library define it", wanter, name, who);
    error_wanter(wanter);
    error_symbol(name, NULL);
    return E64_UNSUPPORTED;
}

static e64_status replace(e64_plugin *plugin, struct link_binding *binding,
                          void *address, uint64_t original)
{
    e64_status status = E64_OK;
    if (!binding->definer) {
        e64_plugin *outside;
        status = find_outside(plugin->runtime, &outside);
        if (status != E64_OK)
            return status;
        binding->definer = &outside->unit.object;
    }
    if (binding->type != STT_OBJECT)
        binding->type = STT_FUNC;
    binding->value = (uintptr_t)address;
    binding->original = original;
    binding->via = LINK_VIA_INTERCEPT;
    return status;
}

static e64_status intercept(e64_plugin *plugin, const e64_import *import,
                            struct link_binding *binding)
{
    const e64_intercept *rule = rules_intercept(&plugin->rules, import->name);
    if (!rule || import->kind == E64_IMPORT_SIZE)
        return E64_OK;
    if (import->kind == E64_IMPORT_TLS)
        return refuse_tls(plugin->unit.object.name, import->name,
                          "`intercept`");
    e64_symbol symbol;
    void *address;
    uint64_t original = address_of(binding);
    describe(binding, import->name, original, &symbol);
    e64_status status = choose(plugin, rule, import, &symbol, &address);
    if (status == E64_OK && address)
        status = replace(plugin, binding, address, original);
    return status;
}

void decide_tell_originals(const e64_plugin *plugin)
{
    struct link_walk walk = { 0 };
    struct link_binding binding;
    while (plugin->rules.intercept
           && link_next(&plugin->unit, &walk, &binding)) {
        Elf64_Sym symbol;
        if (binding.via != LINK_VIA_INTERCEPT
            || !elf_symbol(plugin->unit.object.symbols, binding.symbol,
                           &symbol))
            continue;
        const e64_intercept *rule = rules_intercept(&plugin->rules,
            elf_string(plugin->unit.object.symbols, symbol.st_name));
        if (rule && rule->original)
            *rule->original = (void *)binding.original;
    }
}

// --------------------------------------------------------------- resolving ---

// The open plugin that the hook's answer lies in: it stays as long.
static e64_status take_owner(struct discovery *discovery, e64_plugin *owner,
                             const char *wanter, const char *name,
                             struct link_binding *binding)
{
    e64_runtime *runtime = discovery->runtime;
    bool known = false;
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count && !known; i++)
        known = runtime->plugins[i] == owner && !owner->gone;
    bool host = known && (owner->host || owner->process);
    if (known && !host)
        pinned_add(discovery, owner);
    lock_give(&runtime->lock);
    if (!known) {
        fail(E64_HOOK, "%s needs '%s', for which the resolve hook has answered "
             "what a plugin has that is not open in this runtime; open it in "
             "this one, or leave `plugin` NULL", wanter, name);
        error_wanter(wanter);
        error_symbol(name, NULL);
        return E64_HOOK;
    }
    if (!host)
        binding->definer = &owner->unit.object;
    return E64_OK;
}

// What the host may close is kept open, too, when the answer lies in that.
static const struct elf_object *owner_of(const struct discovery *discovery,
                                         const void *address,
                                         const e64_plugin *outside)
{
    const struct host_module *module
        = host_containing(discovery->snapshot, (uintptr_t)address);
    return module && !module->startup ? &module->object
                                      : &outside->unit.object;
}

static __attribute__((noinline)) e64_status
ask(e64_plugin *plugin, const e64_import *import, e64_symbol *symbol)
{
    e64_runtime *runtime = plugin->runtime;
    struct hook_call call;
    e64_error error;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "resolve");
    call.import = import;
    e64_status answer = runtime->hooks.resolve(runtime->hooks.resolve_data,
                                               runtime, import, symbol, &error);
    hook_leave(&call);
    if (call.misused || (answer != E64_OK
                         && (answer != E64_NOTFOUND || error.message)))
        return hook_failed(&call, answer, &error, plugin->unit.object.name);
    if (answer == E64_NOTFOUND)
        symbol->address = NULL;
    else if (!symbol->address)
        return fail(E64_HOOK, "%s needs '%s', for which the resolve hook has "
                    "answered NULL; E64_NOTFOUND says that it has none",
                    plugin->unit.object.name, import->name);
    return E64_OK;
}

static e64_status resolve(struct discovery *discovery, e64_plugin *plugin,
                          const e64_import *import,
                          struct link_binding *binding)
{
    e64_symbol symbol = { .name = import->name, .version = import->version };
    e64_plugin *outside;
    e64_status status = ask(plugin, import, &symbol);
    if (status != E64_OK || !symbol.address)
        return status;
    if (import->kind == E64_IMPORT_TLS)
        return refuse_tls(plugin->unit.object.name, import->name,
                          "the resolve hook");
    status = find_outside(plugin->runtime, &outside);
    if (status == E64_OK)
        binding->definer = owner_of(discovery, symbol.address, outside);
    if (status == E64_OK && symbol.plugin && symbol.plugin != plugin)
        status = take_owner(discovery, symbol.plugin,
                            plugin->unit.object.name, import->name, binding);
    binding->value = (uintptr_t)symbol.address;
    binding->size = symbol.size;
    binding->type = symbol.kind == E64_KIND_OBJECT ? STT_OBJECT : STT_FUNC;
    binding->via = LINK_VIA_HOOK;
    return status;
}

// What the compiler's start files of every plugin ask for weakly is nobody's
// business.
static bool is_of_start_files(const char *name)
{
    return strcmp(name, "__gmon_start__") == 0
        || strcmp(name, "_ITM_registerTMCloneTable") == 0
        || strcmp(name, "_ITM_deregisterTMCloneTable") == 0;
}

// ----------------------------------------------------------------- imports ---

e64_status decide_import(void *data, struct link_unit *unit,
                         const e64_import *asked, struct link_binding *binding)
{
    e64_plugin *plugin = plugin_of(&unit->object);
    e64_import import = *asked;
    const char *by;
    import.wanter = plugin;
    if (rules_deny(&plugin->rules, import.name, &by)) {
        if (!import.weak)
            return deny(unit->object.name, import.name, import.version, by);
        *binding = (struct link_binding){ .symbol = binding->symbol };
        return E64_OK;
    }
    e64_status status = E64_OK;
    if (plugin->rules.intercept)
        status = intercept(plugin, &import, binding);
    if (status == E64_OK && !binding->definer
        && plugin->runtime->hooks.resolve && !is_of_start_files(import.name))
        status = resolve(data, plugin, &import, binding);
    return status;
}

// ------------------------------------------------------------------- dlsym ---

// What takes its place may lie in what the host could close.
static bool keep_owner(e64_plugin *caller, const void *address)
{
    struct host_snapshot *snapshot;
    struct host_hold hold;
    if (host_hold(&snapshot, &hold) != E64_OK)
        return false;
    struct host_module *module = host_containing(snapshot, (uintptr_t)address);
    bool kept = !module || depend_on_host(caller, module);
    host_let_go(&hold);
    host_snapshot_release(snapshot);
    return kept;
}

static bool decide(e64_plugin *caller, const char *name, const char *version,
                   e64_symbol *original, void **address)
{
    const char *by, *wanter = caller->unit.object.name;
    if (rules_deny(&caller->rules, name, &by)) {
        deny(wanter, name, version, by);
        return false;
    }
    const e64_intercept *rule = rules_intercept(&caller->rules, name);
    if (!rule || original->kind == E64_KIND_TLS)
        return true;
    const e64_import import = { .struct_size = sizeof import, .name = name,
                                .version = version, .wanter = caller,
                                .kind = E64_IMPORT_ADDRESS };
    if (choose(caller, rule, &import, original, address) != E64_OK
        || (*address && !keep_owner(caller, *address)))
        return false;
    if (*address && rule->original)
        *rule->original = original->address;
    return true;
}

bool decide_lookup(e64_plugin *caller, const char *name, const char *version,
                   const struct lookup_found *found, void **address)
{
    e64_symbol original = { .name = name };
    if (rules_are_empty(&caller->rules))
        return true;
    if (found) {
        lookup_describe(found->object, found->index, &found->symbol, &original);
        if (found->object->host)
            original.address = override_find(name, elf_gnu_hash(name));
        if (!original.address && original.kind != E64_KIND_TLS)
            lookup_address(caller->runtime, found, &original.address);
    }
    return decide(caller, name, version, &original, address);
}

bool decide_address(e64_plugin *caller, const char *name, const char *version,
                    void *found, void **address)
{
    e64_symbol original = { .name = name, .version = version,
                            .address = found };
    return rules_are_empty(&caller->rules)
        || decide(caller, name, version, &original, address);
}
