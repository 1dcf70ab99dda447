// dlsym and dlvsym, as plugins see them. Their imports are looked up by the
// rules of bind.c; this does the same at run time.

#include "dl.h"

#include <string.h>

#include "../error.h"
#include "../host/forward.h"
#include "../memory.h"
#include "decide.h"
#include "define.h"
#include "handle.h"
#include "overrides.h"

struct question {
    e64_plugin *caller;
    const char *name, *version; // version: NULL for the default one
    struct elf_name wanted;     // that
    // The host as it is, once it is held; before, what of it never goes.
    struct host_snapshot *snapshot;
    uint32_t global_count; // of it, that may be looked into
    bool held;
    struct host_hold hold;
    bool open; // what has not been found may be in the rest
    struct lookup_found found;
    e64_plugin *definitions; // of the runtime, held, or NULL
};

static bool search(struct question *question,
                   const struct elf_object *const *list, uint32_t count)
{
    return lookup_search(list, count, &question->wanted, &question->found);
}

static void end(struct question *question)
{
    if (question->held)
        host_let_go(&question->hold);
    if (question->snapshot)
        host_snapshot_release(question->snapshot);
}

// To hold what the host could close takes a thousand times as long as to look
// for a name, and most are found before that.
static e64_status hold(struct question *question)
{
    end(question);
    question->snapshot = NULL;
    question->open = false;
    e64_status status = host_hold(&question->snapshot, &question->hold);
    question->held = status == E64_OK;
    if (question->held)
        question->global_count = question->snapshot->global_count;
    return status;
}

// What the runtime defines by itself comes before the host. Nothing that comes
// after the host is found while it is open what the host has.
static bool search_host(struct question *question)
{
    const e64_plugin *definitions = question->definitions;
    const struct elf_object *defined = definitions ? &definitions->unit.object
                                                   : NULL;
    if (defined && search(question, &defined, 1))
        return true;
    if (!question->snapshot)
        question->snapshot = host_snapshot_lasting(&question->global_count);
    if (question->snapshot
        && search(question, question->snapshot->globals,
                  question->global_count))
        return true;
    question->open = !question->held;
    return false;
}

static bool search_globals(struct question *question)
{
    const e64_runtime *runtime = question->caller->runtime;
    return search(question, runtime->globals, runtime->global_count);
}

static bool is_in(const e64_plugin *root, const struct elf_object *object)
{
    for (uint32_t i = 0; i < root->scope_count; i++)
        if (root->scope[i] == object)
            return true;
    return false;
}

// The scopes of all that the caller was opened for.
static bool search_own(struct question *question)
{
    const e64_runtime *runtime = question->caller->runtime;
    const struct elf_object *self = &question->caller->unit.object;
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        const e64_plugin *root = runtime->plugins[i];
        // For what is being stopped, others that are count, as in lazy.c.
        bool counts = !root->gone
                   || (question->caller->gone && !root->unloading);
        if (!root->host && counts && is_in(root, self)
            && search(question, root->scope, root->scope_count))
            return true;
    }
    return search(question, &self, 1);
}

static bool search_default(struct question *question)
{
    const e64_plugin *caller = question->caller;
    const struct elf_object *self = &caller->unit.object;
    if (plugin_is_symbolic(caller) && search(question, &self, 1))
        return true;
    if (caller->deepbind && search_own(question))
        return true;
    return search_host(question)
        || (!question->open
            && (search_globals(question) || search_own(question)));
}

// From now on the caller needs what it was given, as ld.so has it. What the
// host is closing, in a destructor of which the caller may run, is not found.
static e64_status find_default(struct question *question, bool *found)
{
    e64_plugin *caller = question->caller;
    lock_take(&caller->runtime->lock);
    *found = search_default(question);
    e64_plugin *definer = *found ? plugin_of(question->found.object) : NULL;
    if (definer)
        depend_on_plugin(caller, definer);
    lock_give(&caller->runtime->lock);
    if (*found && !definer
        && !depend_on_host(caller, host_module_of(question->found.object)))
        return error_pending()->status;
    return E64_OK;
}

// The scope that the caller came with, after the caller.
static bool find_next(struct question *question)
{
    e64_plugin *caller = question->caller;
    lock_take(&caller->runtime->lock);
    const e64_plugin *root = caller;
    while (root->loader)
        root = root->loader;
    uint32_t at = 0;
    while (at < root->scope_count
           && root->scope[at] != &caller->unit.object)
        at++;
    bool found = at < root->scope_count
        && search(question, root->scope + at + 1, root->scope_count - at - 1);
    lock_give(&caller->runtime->lock);
    return found;
}

// A handle keeps its scope open: no lock is needed.
static bool find_in(struct question *question, const e64_plugin *plugin)
{
    const struct elf_object *self = &plugin->unit.object;
    if (plugin->scope)
        return search(question, plugin->scope, plugin->scope_count);
    if (!plugin->process)
        return search(question, &self, 1);
    e64_runtime *runtime = question->caller->runtime;
    lock_take(&runtime->lock);
    bool found = search_host(question)
        || (!question->open && search_globals(question));
    lock_give(&runtime->lock);
    return found;
}

static e64_status find_now(struct question *question, void *handle,
                           bool *found)
{
    if (handle == RTLD_DEFAULT)
        return find_default(question, found);
    *found = handle == RTLD_NEXT ? find_next(question)
                                 : find_in(question, handle);
    return E64_OK;
}

static e64_status find(struct question *question, void *handle, bool *found)
{
    e64_status status = find_now(question, handle, found);
    if (status != E64_OK || *found || !question->open)
        return status;
    status = hold(question);
    return status == E64_OK ? find_now(question, handle, found) : status;
}

static void *address_of(struct question *question)
{
    const struct lookup_found *found = &question->found;
    void *address = found->object->host
        ? override_find(question->name, elf_gnu_hash(question->name)) : NULL;
    if (!address
        && lookup_address(question->caller->runtime, found, &address)
           != E64_OK) {
        dl_failed("%s", error_pending()->message);
        return NULL;
    }
    dl_succeeded();
    return address;
}

static bool is_defined(const struct question *question)
{
    return question->definitions
        && question->found.object == &question->definitions->unit.object;
}

// Like find, and the caller uses what the runtime defines by itself. False, and
// a failure, when what was found cannot be kept open for it.
static bool find_to_use(struct question *question, void *handle, bool *found)
{
    e64_plugin *caller = question->caller;
    e64_status status;
    // It may be defined anew while it is looked for.
    do {
        plugin_drop(question->definitions);
        status = define_snapshot(caller->runtime, &question->definitions);
        if (status == E64_OK)
            status = find(question, handle, found);
        if (status != E64_OK)
            return false;
        if (*found && is_defined(question))
            status = define_use(caller, question->definitions,
                                question->found.index);
    } while (status == E64_CHANGED);
    return status == E64_OK;
}

static void *look_up(void *handle, const char *name, const char *version,
                     e64_plugin *caller)
{
    struct question question = { .caller = caller, .name = name,
                                 .version = version,
                                 .wanted = lookup_name(name, version) };
    void *address = NULL;
    bool found = false;
    if (!find_to_use(&question, handle, &found)
        || ((!found || question.found.object != &caller->unit.object)
            && !decide_lookup(caller, name, version,
                              found ? &question.found : NULL, &address))) {
        dl_failed("%s", error_pending()->message);
    } else if (address) {
        dl_succeeded();
    } else if (found) {
        address = address_of(&question);
    } else {
        const e64_plugin *asked = handle == RTLD_DEFAULT || handle == RTLD_NEXT
                                ? caller : handle;
        dl_failed("%s: undefined symbol: %s%s%s", asked->process
                  ? process_start().argv[0] : asked->map.l_name, name,
                  version ? ", version " : "", version ? version : "");
    }
    plugin_drop(question.definitions);
    end(&question);
    return address;
}

static bool is_ours(void *handle)
{
    return handle == RTLD_DEFAULT || handle == RTLD_NEXT
        || handle_plugin(handle);
}

// What glibc found for a plugin, or what plugins get instead.
static void *instead(void *address, const char *name, const char *version,
                     e64_plugin *caller)
{
    void *own = address ? override_find(name, elf_gnu_hash(name)) : NULL;
    void *decided = NULL;
    if (!decide_address(caller, name, version, own ? own : address,
                        &decided)) {
        dl_failed("%s", error_pending()->message);
        return NULL;
    }
    dl_passed();
    return decided ? decided : own ? own : address;
}

void *dl_sym(void *handle, const char *name, e64_plugin *caller)
{
    if (is_ours(handle))
        return look_up(handle, name, NULL, caller);
    return instead(host_glibc()->dlsym(handle, name), name, NULL, caller);
}

void *dl_vsym(void *handle, const char *name, const char *version,
              e64_plugin *caller)
{
    if (is_ours(handle))
        return look_up(handle, name, version, caller);
    return instead(host_glibc()->dlvsym(handle, name, version), name, version,
                   caller);
}
