// First calls: see lazy.h.

#include "lazy.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "../tls/tls.h"
#include "define.h"
#include "overrides.h"
#include "startup.h"

// ------------------------------------------------------------------ lists ---

// Stands for a list that there was no memory for.
static struct lazy_list unknown = { .partial = true };

static struct lazy_list *make_list(uint32_t room)
{
    struct lazy_list *list = memory_new(sizeof *list
                                        + room * sizeof *list->objects);
    return list ? list : &unknown;
}

static void add(struct lazy_list *list, const struct elf_object *object)
{
    if (list != &unknown)
        list->objects[list->count++] = object;
}

void lazy_list_free(struct lazy_list *list)
{
    if (list != &unknown)
        memory_free(list);
}

static void replace(_Atomic(struct lazy_list *) *at, struct lazy_list *list)
{
    struct lazy_list *old = atomic_exchange(at, list);
    if (old && old != &unknown)
        addresses_retire(&old->retired);
}

static bool is_in(const struct lazy_list *list, const struct elf_object *object)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->objects[i] == object)
            return true;
    return false;
}

static void add_root(e64_plugin *plugin, const e64_plugin *root)
{
    const struct lazy_list *old = atomic_load(&plugin->roots);
    if (old == &unknown || is_in(old, &root->unit.object))
        return;
    struct lazy_list *list = make_list(old->count + 1);
    for (uint32_t i = 0; i < old->count; i++)
        add(list, old->objects[i]);
    add(list, &root->unit.object);
    replace(&plugin->roots, list);
}

void lazy_add_root(e64_plugin *root)
{
    for (uint32_t i = 0; i < root->scope_count; i++) {
        e64_plugin *plugin = plugin_of(root->scope[i]);
        if (plugin && atomic_load(&plugin->roots))
            add_root(plugin, root);
    }
}

static void forget_root(e64_plugin *plugin, const e64_plugin *root)
{
    const struct lazy_list *old = atomic_load(&plugin->roots);
    if (!is_in(old, &root->unit.object))
        return;
    struct lazy_list *list = make_list(old->count);
    for (uint32_t i = 0; i < old->count; i++)
        if (old->objects[i] != &root->unit.object)
            add(list, old->objects[i]);
    replace(&plugin->roots, list);
}

void lazy_globals_changed(e64_runtime *runtime)
{
    struct lazy_list *list = NULL;
    if (runtime->global_count)
        list = make_list(runtime->global_count);
    for (uint32_t i = 0; i < runtime->global_count; i++) {
        const struct elf_object *object = runtime->globals[i];
        if (object->host)
            list->partial = true;
        else if (!plugin_of(object)->unloading)
            add(list, object);
    }
    replace(&runtime->lazy_globals, list);
}

void lazy_forget(e64_runtime *runtime, e64_plugin *const *plugins,
                 uint32_t count)
{
    bool global = false;
    for (uint32_t i = 0; i < count; i++) {
        plugins[i]->unloading = true;
        global |= plugins[i]->global;
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < plugins[i]->scope_count; k++) {
            e64_plugin *plugin = plugin_of(plugins[i]->scope[k]);
            if (plugin && atomic_load(&plugin->roots))
                forget_root(plugin, plugins[i]);
        }
    if (global)
        lazy_globals_changed(runtime);
}

e64_status lazy_wanted(const e64_runtime *runtime,
                       const e64_open_options *options, bool *wanted)
{
    const struct startup *startup;
    *wanted = options->lazy || runtime->lazy;
    if (!*wanted)
        return E64_OK;
    e64_status status = startup_get(&startup);
    if (status == E64_OK)
        *wanted = !startup->bind_now;
    return status;
}

void lazy_prepare(e64_plugin *plugin, e64_plugin *root)
{
    tls_descriptor_prepare();
    plugin->unit.lazy = (struct link_lazy){ true, plugin, lazy_entry_x86_64 };
    struct lazy_list *list = make_list(1);
    add(list, &root->unit.object);
    replace(&plugin->roots, list);
}

// --------------------------------------------------------------- looking ---

struct call {
    e64_plugin *plugin; // that calls
    uint32_t symbol;
    struct link_binding binding;
    bool held;      // all modules of the host stay while this goes on
    bool uncertain; // something was left out
    bool unique;    // STB_GNU_UNIQUE: what others have counts
    const struct elf_object *defined; // by the runtime itself, or NULL
};

// What the host could close is left to be looked up with locks, and what is
// stopped is there for those that are, too.
static bool skip(void *data, const struct elf_object *object)
{
    struct call *call = data;
    if (object->host) {
        bool stays = call->held || host_module_of(object)->startup;
        call->uncertain |= !stays;
        return !stays;
    }
    const e64_plugin *plugin = plugin_of(object);
    return plugin->unloading || (plugin->gone && !call->plugin->gone);
}

static e64_status note_unique(void *data, const char *name,
                              struct link_binding *binding)
{
    (void)name;
    (void)binding;
    ((struct call *)data)->unique = true;
    return E64_OK;
}

static bool search(struct call *call, const struct elf_object *const *list,
                   uint32_t count)
{
    const struct link_scope scope = { .lists = { list }, .counts = { count },
                                      .count = 1, .skip = skip, .data = call };
    const struct link_context context = { .override = override_find,
                                          .unique = note_unique,
                                          .data = call };
    return link_bind(&call->plugin->unit, &scope, &context, call->symbol,
                     &call->binding) == E64_OK
        && call->binding.definer;
}

// The plugin's own definition counts before others' when it says so.
static bool search_itself(struct call *call)
{
    const struct elf_object *self = &call->plugin->unit.object;
    return plugin_is_symbolic(call->plugin) && search(call, &self, 1);
}

static bool search_roots(struct call *call, const struct lazy_list *roots)
{
    bool held = call->held, found = false;
    call->held = true; // a root keeps what it needs
    for (uint32_t i = 0; i < roots->count && !found; i++) {
        const e64_plugin *root = plugin_of(roots->objects[i]);
        if (!skip(call, roots->objects[i]))
            found = search(call, root->scope, root->scope_count);
    }
    call->held = held;
    call->uncertain |= roots->partial;
    return found;
}

static bool search_globals(struct call *call)
{
    const struct lazy_list *list
        = atomic_load(&call->plugin->runtime->lazy_globals);
    const struct host_snapshot *snapshot = call->plugin->snapshot;
    // What comes after something that was left out must not be taken.
    call->uncertain = atomic_load(&call->plugin->runtime->defines);
    if (call->uncertain)
        return false;
    if (search(call, snapshot->globals, snapshot->global_count))
        return true;
    if (!list || call->uncertain)
        return false;
    call->uncertain = list->partial;
    return !list->partial && search(call, list->objects, list->count);
}

// ------------------------------------------------------- what is found ---

static bool is_listed(const struct elf_object *const *list, uint32_t count,
                      const struct elf_object *object)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == object)
            return true;
    return false;
}

static bool is_booked(e64_plugin *plugin, const struct elf_object *definer)
{
    bool booked = false;
    for (int i = 0; i < LAZY_BOOKED; i++)
        booked |= atomic_load(&plugin->booked[i]) == definer;
    return booked;
}

static void note_booked(e64_plugin *plugin, const struct elf_object *definer)
{
    const struct elf_object *none = NULL;
    for (int i = 0; i < LAZY_BOOKED; i++, none = NULL)
        if (atomic_compare_exchange_strong(&plugin->booked[i], &none, definer))
            return;
}

// Does what was found stay as long as the plugin does?
static bool is_kept(const struct call *call)
{
    e64_plugin *plugin = call->plugin;
    const struct elf_object *definer = call->binding.definer;
    return definer == &plugin->unit.object
        || (definer->host && host_module_of(definer)->startup)
        || is_listed(plugin->needs, plugin->need_count, definer)
        || is_listed(plugin->filters, plugin->filter_count, definer)
        || is_booked(plugin, definer);
}

// Another plugin stays from now on, unless it is being unmapped. With the
// runtime's lock held.
static bool book_locked(struct call *call)
{
    const struct elf_object *definer = call->binding.definer;
    if (skip(call, definer))
        return false;
    depend_on_plugin(call->plugin, plugin_of(definer));
    note_booked(call->plugin, definer);
    return true;
}

static bool book(struct call *call)
{
    if (is_kept(call))
        return true;
    if (call->binding.definer->host)
        return false; // glibc is to be asked
    lock_take(&call->plugin->runtime->lock);
    bool booked = book_locked(call);
    lock_give(&call->plugin->runtime->lock);
    return booked;
}

static bool look(struct call *call)
{
    const struct lazy_list *roots = atomic_load(&call->plugin->roots);
    return search_itself(call)
        || (call->plugin->deepbind && search_roots(call, roots))
        || (!call->uncertain && search_globals(call))
        || (!call->uncertain && search_roots(call, roots));
}

// Without locks, unless something is to be kept open that the plugin does not
// need.
static bool find(struct call *call)
{
    unsigned ticket = addresses_enter();
    bool found = look(call) && !call->unique && book(call);
    addresses_leave(ticket);
    return found;
}

// ------------------------------------------------------------ with locks ---

// All that a plugin needs, itself first: when what it was opened for is gone.
static bool search_needs(struct call *call)
{
    const struct elf_object **list = vital_resize(NULL, sizeof *list);
    uint32_t count = 0;
    if (!list)
        return false;
    list[count++] = &call->plugin->unit.object;
    for (uint32_t i = 0; i < count; i++) {
        const e64_plugin *plugin = plugin_of(list[i]);
        for (uint32_t k = 0; plugin && k < plugin->need_count; k++) {
            if (is_listed(list, count, plugin->needs[k]))
                continue;
            const struct elf_object **larger
                = vital_resize(list, (count + 1) * sizeof *list);
            if (!larger)
                break;
            list = larger;
            list[count++] = plugin->needs[k];
        }
    }
    bool found = search(call, list, count);
    vital_free(list);
    return found;
}

static bool search_own_locked(struct call *call)
{
    const e64_runtime *runtime = call->plugin->runtime;
    const struct elf_object *self = &call->plugin->unit.object;
    for (uint32_t i = 0; i < runtime->plugin_count; i++) {
        const e64_plugin *root = runtime->plugins[i];
        if (!root->host && is_listed(root->scope, root->scope_count, self)
            && !skip(call, &root->unit.object)
            && search(call, root->scope, root->scope_count))
            return true;
    }
    return search_needs(call);
}

// As the host and the runtime are now.
static bool find_locked(struct call *call,
                        const struct host_snapshot *snapshot)
{
    const e64_runtime *runtime = call->plugin->runtime;
    bool deepbind = call->plugin->deepbind;
    bool found = search_itself(call)
        || (deepbind && search_own_locked(call))
        || (call->defined && search(call, &call->defined, 1))
        || search(call, snapshot->globals, snapshot->global_count)
        || search(call, runtime->globals, runtime->global_count)
        || (!deepbind && search_own_locked(call));
    if (found && call->binding.definer != call->defined
        && !call->binding.definer->host)
        found = is_kept(call) || book_locked(call);
    return found;
}

// What the runtime defines by itself counts its users.
static e64_status find_among(struct call *call,
                             const struct host_snapshot *snapshot)
{
    e64_plugin *definitions;
    e64_status status = define_snapshot(call->plugin->runtime, &definitions);
    if (status != E64_OK)
        return status;
    call->defined = definitions ? &definitions->unit.object : NULL;
    call->unique = false;
    call->binding = (struct link_binding){ 0 };
    lock_take(&call->plugin->runtime->lock);
    bool found = find_locked(call, snapshot);
    lock_give(&call->plugin->runtime->lock);
    const struct elf_object *definer = call->binding.definer;
    if (found && definer == call->defined)
        status = define_use(call->plugin, definitions,
                            call->binding.definition);
    else if (found && definer->host
             && !depend_on_host(call->plugin, host_module_of(definer)))
        status = error_pending()->status;
    plugin_drop(definitions);
    return status;
}

static __attribute__((noinline)) e64_status find_slowly(struct call *call)
{
    struct host_snapshot *snapshot;
    struct host_hold hold;
    e64_status status = host_hold(&snapshot, &hold);
    if (status != E64_OK)
        return status;
    call->held = true;
    // It may be defined anew while it is looked for.
    do
        status = find_among(call, snapshot);
    while (status == E64_CHANGED && call->binding.definer == call->defined
           && call->defined);
    host_let_go(&hold);
    host_snapshot_release(snapshot);
    return status;
}

// ---------------------------------------------------------------- ending ---

// There is nothing to return to: the process ends, as it does under ld.so.
static __attribute__((noinline, noreturn)) void
give_up(const e64_plugin *plugin, uint32_t index, const char *why)
{
    const struct elf_symbols *symbols = plugin->unit.object.symbols;
    const struct elf_version *version = elf_symbol_version(symbols, index);
    char text[1024], line[1280];
    Elf64_Sym symbol = { 0 };
    elf_symbol(symbols, index, &symbol);
    snprintf(text, sizeof text, "%s: undefined symbol: %s%s%s%s%s%s",
             plugin->unit.object.name, elf_string(symbols, symbol.st_name),
             version ? ", version " : "",
             version ? elf_string(symbols, version->name) : "",
             why ? " (" : "", why ? why : "", why ? ")" : "");
    runtime_log(plugin->runtime, E64_LOG_WARNING, "%s", text);
    int size = snprintf(line, sizeof line, "%s: symbol lookup error: %s\n",
                        process_start().argv[0], text);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        _exit(127);
    _exit(127);
}

static __attribute__((noinline)) void *
finish_slowly(struct call *call)
{
    e64_error before;
    int cancelling;
    error_save(&before);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    e64_status status = find_slowly(call);
    struct lookup_found found = { call->binding.definer,
                                  call->binding.definition, { 0 }, "" };
    void *address = (void *)call->binding.value;
    if (status == E64_OK && call->unique && found.object) {
        elf_symbol(found.object->symbols, found.index, &found.symbol);
        found.name = elf_string(found.object->symbols, found.symbol.st_name);
        status = lookup_address(call->plugin->runtime, &found, &address);
        call->binding.value = (uintptr_t)address;
    }
    if (status != E64_OK)
        give_up(call->plugin, call->symbol, error_pending()->message);
    pthread_setcancelstate(cancelling, NULL);
    error_restore(&before);
    return address;
}

static bool is_weak(const e64_plugin *plugin, uint32_t index)
{
    Elf64_Sym symbol = { 0 };
    elf_symbol(plugin->unit.object.symbols, index, &symbol);
    return ELF64_ST_BIND(symbol.st_info) == STB_WEAK;
}

// Called with all registers saved: what the call goes on to.
__attribute__((visibility("hidden"), used))
void *lazy_bind(e64_plugin *plugin, uint64_t number)
{
    int before = errno;
    struct call call = { .plugin = plugin };
    uint64_t *slot;
    if (!link_slot(&plugin->unit, number, &slot, &call.symbol))
        give_up(plugin, 0, "the PLT names a relocation that is no "
                "R_X86_64_JUMP_SLOT");
    if (!find(&call))
        finish_slowly(&call);
    if (!call.binding.definer && !is_weak(plugin, call.symbol))
        give_up(plugin, call.symbol, NULL);
    // Nothing is locked: what chooses may call whatever it likes.
    uint64_t target = call.binding.value;
    if (call.binding.definer && call.binding.type == STT_GNU_IFUNC)
        target = ((uint64_t (*)(void))target)();
    __atomic_store_n(slot, target, __ATOMIC_RELEASE);
    errno = before;
    return (void *)target;
}
