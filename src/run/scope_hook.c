// The scope in which a plugin's imports are looked up, when a hook has a say in
// it.

#include "hooks.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

struct e64_scope {
    struct discovery *discovery;
    const e64_provider *given;
    size_t given_count;
    const struct elf_object **objects;
    uint32_t count, room;
    bool refused; // something was to be added that must not be
};

static e64_status add(e64_scope *scope, const struct elf_object *object)
{
    e64_status status = memory_grow(&scope->objects, scope->count,
                                    &scope->room, sizeof object);
    if (status == E64_OK)
        scope->objects[scope->count++] = object;
    return status;
}

// Another plugin that is open in the runtime, and stays so for this open.
static const struct elf_object *find_open(e64_scope *scope, e64_plugin *plugin)
{
    e64_runtime *runtime = scope->discovery->runtime;
    bool known = false;
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count && !known; i++)
        known = runtime->plugins[i] == plugin && !plugin->gone
             && !plugin->process;
    if (known)
        pinned_add(scope->discovery, plugin);
    lock_give(&runtime->lock);
    return !known ? NULL
         : plugin->host ? &plugin->host->object : &plugin->unit.object;
}

static e64_status add_provider(e64_scope *scope, const e64_provider *provider)
{
    if (!scope || !provider)
        return fail(E64_INVALID, "e64_scope_add: scope and provider must not "
                    "be NULL");
    const struct elf_object *object = NULL;
    for (size_t i = 0; i < scope->given_count && !object; i++)
        if (provider->object ? scope->given[i].object == provider->object
            : provider->plugin && scope->given[i].plugin == provider->plugin)
            object = scope->given[i].object;
    if (!object && provider->plugin)
        object = find_open(scope, provider->plugin);
    scope->refused |= !object;
    return object ? add(scope, object)
         : fail(E64_INVALID, "e64_scope_add: the provider is neither one that "
                "the hook was given nor a plugin that is open in its runtime");
}

e64_status e64_scope_add(e64_scope *scope, const e64_provider *provider,
                         e64_error *error)
{
    return error_give(add_provider(scope, provider), error);
}

static e64_provider *make_given(const struct link_scope *from, size_t *count)
{
    size_t all = 0;
    for (uint32_t list = 0; list < from->count; list++)
        all += from->counts[list];
    e64_provider *given = memory_array(all ? all : 1, sizeof *given);
    *count = 0;
    for (uint32_t list = 0; given && list < from->count; list++) {
        for (uint32_t i = 0; i < from->counts[list]; i++) {
            const struct elf_object *object = from->lists[list][i];
            e64_plugin *plugin = plugin_of(object);
            given[(*count)++] = (e64_provider){
                .plugin = plugin && !plugin->outside ? plugin : NULL,
                .path = object->name,
                .object = object,
            };
        }
    }
    return given;
}

// The hook has handed on what e64_scope_add told it: not the caller's mistake.
static e64_status refuse_provider(const char *name)
{
    fail(E64_HOOK, "%s: the scope hook has added a provider that is neither "
         "one that it was given nor a plugin that is open in its runtime",
         name);
    error_path(name);
    return E64_HOOK;
}

// False: the scope stays as it is.
static __attribute__((noinline)) bool
ask(e64_plugin *plugin, e64_scope *scope, e64_status *status)
{
    e64_runtime *runtime = plugin->runtime;
    struct hook_call call;
    e64_error error;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "scope");
    e64_status answer = runtime->hooks.scope(runtime->hooks.scope_data, runtime,
                                             plugin, scope->given,
                                             scope->given_count, scope, &error);
    hook_leave(&call);
    *status = E64_OK;
    if (!call.misused && answer == E64_OK)
        return true;
    if (!call.misused && answer == E64_INVALID && scope->refused)
        *status = refuse_provider(plugin->unit.object.name);
    else if (call.misused || answer != E64_NOTFOUND || error.message)
        *status = hook_failed(&call, answer, &error, plugin->unit.object.name);
    return false;
}

e64_status hook_scope(struct discovery *discovery, e64_plugin *plugin,
                      struct link_scope *scope,
                      const struct elf_object ***objects)
{
    *objects = NULL;
    if (!discovery->runtime->hooks.scope)
        return E64_OK;
    e64_scope made = { .discovery = discovery };
    e64_provider *given = make_given(scope, &made.given_count);
    if (!given)
        return fail_memory(sizeof *given);
    made.given = given;
    e64_status status;
    bool answered = ask(plugin, &made, &status);
    if (answered) {
        const struct link_scope one = { .count = 1, .counts = { made.count },
                                        .lists = { made.objects } };
        *scope = one;
    }
    if (discovery->failed && status == E64_OK)
        status = fail_memory(sizeof *discovery->pinned);
    *objects = made.objects;
    memory_free(given);
    return status;
}
