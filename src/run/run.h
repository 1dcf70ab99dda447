// The life of a plugin, for the files of this room: what a runtime and a plugin
// are, and which file does what with them.

#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <link.h>
#include <stdatomic.h>

#include "../host/host.h"
#include "../link/link.h"
#include "../lock.h"
#include "rules.h"
#include "search.h"
#include "why.h"

// A name by which a plugin is known: as it was asked for, or its DT_SONAME.
struct plugin_name {
    struct plugin_name *next;
    struct plugin_name *next_chained; // registry.c
    e64_plugin *plugin;
    uint32_t hash;
    char text[];
};

enum sweep { SWEEP_NONE, SWEEP_CANDIDATE, SWEEP_KEPT };

// What stands behind the five public fields of a link_map is nothing of glibc's
// here; but debuggers read glibc's private fields, which zeros are best for.
// The last that they read, for thread-local variables, ends at 1,160 (2.36).
enum { LINK_MAP_SIZE = 1536 };

struct lazy_list; // lazy.h
enum { LAZY_BOOKED = 4 };

struct e64_plugin {
    // Programs cast what dlopen answered, and debuggers walk these.
    struct link_map map;
    const void *handle_mark; // tells our handles from glibc's: handle.c
    char reserved[LINK_MAP_SIZE - sizeof(struct link_map) - sizeof(void *)];
    struct link_unit unit;
    e64_runtime *runtime;
    struct rules rules; // for what it imports
    const struct provided *provided; // what it stands for a library by, or NULL
    bool outside; // stands for what the program gives, and is no file
    struct objects *objects; // that it is made of, or NULL: objects.h
    // Definitions of the runtime that it is bound to: define.c.
    struct define_used *used;
    uint32_t used_count;
    uint64_t generation;
    struct plugin_name *names; // the first is what it was opened by
    e64_plugin *loader;        // what needed it when it was mapped, or NULL

    // For registry.c: its turn among all that the runtime has had, 0 while it
    // is not registered; by what file it is found; and what it is the loader
    // of.
    uint64_t turn;
    bool has_file; // that is known
    uint64_t file_hash;
    e64_plugin *next_chained;
    e64_plugin *loaded, *next_loaded, **loaded_link;

    uint32_t handles;    // opens that were not closed
    uint32_t dependents; // plugins that need it or are bound to it
    uint32_t exits;      // thread_local destructors of it that have yet to run
    uint32_t bookings;     // all else that is booked for it: bookings.h
    struct booking *first_booking; // those, too, under the bookings' lock
    uint32_t pins;       // opens under way that have found it
    atomic_uint holds;   // of this record: the registry's and others'
    _Atomic(e64_state) state;
    bool global, nodelete, isolated;
    bool unique; // nodelete as the owner of an STB_GNU_UNIQUE symbol
    bool promotes; // its scope is global, with what is the host's in it
    bool deepbind; // its own scope comes before the host's
    bool listed; // for debuggers: debugger.c
    bool known; // the event hook has been told that it is mapped
    uint64_t binding_time; // of its bindings alone, in nanoseconds
    atomic_bool sealed; // IFUNCs are done, RELRO is read-only
    atomic_bool registers; // functions to be called when it is closed
    bool finishing; // that is being done by the thread that works on it
    // Being stopped, or stopped: not to be found any more.
    atomic_bool gone;
    atomic_bool unloading; // being unmapped
    // What it needs counts it as a dependent: from when it is known until its
    // destructors have run.
    bool depends;
    bool waiting; // gone, and to be unmapped: waiting.c
    e64_plugin *next_waiting;
    bool leaked;  // waiting for good
    bool told;    // the log knows that it waits
    bool missed;  // a close has left it because of its pins alone
    bool claimed; // its file is being mapped, or it is being stopped
    e64_plugin *next_claimed;
    struct worker *worker; // the thread that works on it: work.c
    const struct promise *promise; // of the open that is going to start it

    // For walks, under the runtime's lock.
    bool marked;            // order.c
    enum sweep sweep;       // close.c
    uint32_t needed_within; // close.c

    // Plugins and host modules that DT_NEEDED and DT_FILTER or DT_AUXILIARY
    // stand for, in file order; a filter that is missing is NULL.
    const struct elf_object **needs, **filters;
    uint32_t need_count, filter_count;
    // For what has been opened by name: its own scope, breadth first, and the
    // plugins of it, dependents first.
    const struct elf_object **scope;
    uint32_t scope_count;
    e64_plugin **order;
    uint32_t order_count;
    // In which order a hook wants them to be started, or NULL: arrange.c.
    e64_plugin **starts;
    uint32_t start_count;
    // Plugins that it is bound to though it does not need them, and host
    // modules that are kept open for it.
    e64_plugin **bound;
    uint32_t bound_count;
    struct host_module **kept;
    uint32_t kept_count;

    // For lazy.c: the roots of the opens whose scopes it finds what it calls
    // in; NULL when it was bound at once. And some of what it has been bound to
    // since.
    _Atomic(struct lazy_list *) roots;
    _Atomic(const struct elf_object *) booked[LAZY_BOOKED];

    // The host as it was when this was mapped, and when it was first opened by
    // name, which may be much later: they keep the records of all modules that
    // the lists above, and `scope`, name.
    struct host_snapshot *snapshot, *scope_snapshot;

    struct host_module *host; // for a plugin that stands for one of glibc's
    bool process;             // for the one that stands for the process

    struct why why; // it is mapped
    e64_times times;
    size_t imports; // that were bound
};

struct unique_entry {
    char *name; // NULL: free
    uint32_t hash;
    const struct elf_object *definer;
    uint64_t value, size;
    uint32_t definition;
    uint8_t type;
    // The open that has entered it and may still fail; NULL once it is for
    // good.
    const struct discovery *entered_by;
    uint32_t next; // in its slot: place in the table plus one; or 0
};

// STB_GNU_UNIQUE symbols and the definitions that count.
struct uniques {
    struct unique_entry *entries;
    uint32_t count, room;
    uint32_t *slots; // by hash, `room` of them: which is first
};

struct e64_runtime {
    e64_runtime *next; // in the list of all
    // Guards the registry: plugins, names, counts, unique symbols. Nothing of a
    // plugin, no hook and nothing of glibc's loader is called under it.
    struct lock lock;
    char *path; // templates to search, or NULL
    e64_search_hook search;
    void *search_data;
    e64_log_hook log;
    void *log_data;
    // All that it was made with; of search, log and unload, the fields here
    // count. What it points to is not used any more.
    e64_runtime_options hooks;
    struct policy *policy; // its rules, or NULL
    // Stands for the owner of addresses that the policy gives; made when it is
    // needed.
    e64_plugin *outside;
    struct definitions *definitions; // define.c; NULL: there were none
    atomic_bool defines; // that there were some, for readers without a lock
    e64_plugin **plugins; // in the order in which they were mapped
    uint32_t plugin_count, plugin_room;
    uint64_t turns; // that plugins have been given
    // Chains by hash: of the names of plugins that can be found, and of such
    // plugins by their files.
    struct plugin_name **name_chains;
    e64_plugin **file_chains;
    uint32_t chain_count; // a power of two, or 0
    const struct elf_object **globals; // made visible by `global` opens
    uint32_t global_count;
    bool lazy; // calls are bound when they are made first
    // `globals` for readers without a lock; NULL when there are none.
    _Atomic(struct lazy_list *) lazy_globals;
    struct uniques uniques;
    e64_unload unload; // what becomes of plugins that something points into
    e64_plugin *first_waiting; // waiting.c
    bool looking, look_again;  // a thread looks after them:
    pthread_t looker;          // this one
    atomic_bool missed_told;   // the log knows what cannot be looked at
    uint32_t busy;  // constructors and destructors that are running
    uint32_t users; // calls that go on though it is freed
    atomic_bool ending; // with the process: the event hook is told no more
    e64_plugin *claimed; // claims.c
    bool freed;     // only what must not be unloaded is left in it, or not yet
};

static inline e64_plugin *plugin_of(const struct elf_object *object)
{
    return object->host ? NULL
        : (e64_plugin *)((char *)object - offsetof(e64_plugin, unit.object));
}

// Does its own definition of a name count before others'? DT_SYMBOLIC says so
// (gABI), and RTLD_DEEPBIND makes nothing of that, as under ld.so.
static inline bool plugin_is_symbolic(const e64_plugin *plugin)
{
    return plugin->unit.image.symbolic && !plugin->deepbind;
}

uint64_t run_now(void); // nanoseconds, monotonic

// ------------------------------------------------------------- plugin.c ---

e64_status plugin_new(e64_runtime *runtime, e64_plugin **plugin);
// One that stands for what the program gives: open, though no registry has it.
// Its object has nothing to look up in yet.
e64_status plugin_new_outside(e64_runtime *runtime, const char *name,
                              e64_plugin **plugin);
e64_status plugin_add_name(e64_plugin *plugin, const char *name);
// By this hash names of plugins are told apart.
uint32_t plugin_name_hash(const char *name);
bool plugin_has_name(const e64_plugin *plugin, const char *name, uint32_t hash);
// In two steps, of which the first alone can fail (NULL, and a failure).
struct plugin_name *plugin_make_name(const char *name);
void plugin_take_name(e64_plugin *plugin, struct plugin_name *added);
// Undoes all that was done for a plugin; the record stays while it is held.
void plugin_unload(e64_plugin *plugin);
// The record stays readable while it is held, after the plugin is gone too.
e64_plugin *plugin_hold(e64_plugin *plugin);
void plugin_drop(e64_plugin *plugin);

// ----------------------------------------------------------- registry.c ---
// With the runtime's lock held.

e64_plugin *registry_find_name(e64_runtime *runtime, const char *name);
e64_plugin *registry_find_file(e64_runtime *runtime,
                               const struct elf_file *file);
e64_plugin *registry_find_host(e64_runtime *runtime,
                               const struct host_module *module);
e64_status registry_reserve(e64_runtime *runtime, uint32_t more);
// Nothing comes of it, or of the attempt.
void registry_unreserve(e64_runtime *runtime);
void registry_add(e64_runtime *runtime, e64_plugin *plugin);
void registry_remove(e64_runtime *runtime, e64_plugin *plugin);
// A plugin has another name, and may be registered.
void registry_add_name(struct plugin_name *name);
void registry_free(e64_runtime *runtime);
// One in `globals`: is it to be found by new opens?
bool registry_is_global(const e64_runtime *runtime,
                        const struct elf_object *object);
// Also of modules of the host that it needs, while it is open.
e64_status registry_add_globals(e64_runtime *runtime, e64_plugin *root);

// ----------------------------------------------------------- discover.c ---

// What an open has found open, and the names by which it has found it in vain.
struct pinned {
    e64_plugin *plugin;
    struct plugin_name *names;
};

struct promise; // work.h

// What one open finds before anything is mapped.
struct discovery {
    e64_runtime *runtime;
    struct host_snapshot *snapshot;
    struct host_hold hold; // of it
    bool last; // what the host changes from now on comes after this open
    // That it is made for: nothing is claimed, opened or entered, and what is
    // missing is noted. Unique symbols are entered here.
    struct e64_plan *plan;
    struct uniques uniques;
    const struct e64_plan *committed; // that it must come to
    bool unlike;                      // and does not
    struct promise *promise; // to start what it opens, or NULL
    bool known; // the root had a scope before
    struct why why; // what is found is found: of the last search
    struct missing *missing; // what resolving finds so: missing.h
    bool lazy; // calls are bound when they are made first
    bool trusted; // what is being read is made here, not to be verified
    bool looked; // into ld.so.cache: once in an open, as ld.so does
    e64_plugin *binding; // whose imports are being resolved
    const e64_open_options *options; // of the open
    bool hold_back; // nothing of a file that is opened by its path may run
    // What the runtime defines by itself, as it was: held, or NULL.
    e64_plugin *definitions;
    const struct elf_object *defined; // its object
    const struct elf_object **globals; // the runtime's, as they were
    uint32_t global_count;
    e64_plugin **fresh; // new ones, in the order of ld.so's list
    uint32_t fresh_count, fresh_room;
    // The plugin that calls dlopen, or NULL: the root is looked for as this one
    // says, but does not depend on it.
    e64_plugin *caller;
    struct pinned *pinned; // pinned.c
    uint32_t pinned_count, pinned_room;
    struct discovery *outer; // of the same thread
    bool failed; // to pin one, for want of memory
    // E64_CHANGED for one of these reasons, unless it was the host that
    // changed:
    e64_plugin *awaited; // another thread works on this one, which is held
    bool overtaken;      // another thread was sooner
    bool alone;          // do not wait for what other threads map or stop
};

// The object that a name stands for, read but not mapped when it is new.
// `isolated`: a new one in any case, of which others do not know.
e64_status discover_name(struct discovery *discovery, const char *name,
                         e64_plugin *wanter, bool isolated,
                         const struct elf_object **found);
// The same whatever the policy provides.
e64_status discover_plain(struct discovery *discovery, const char *name,
                          e64_plugin *wanter, bool isolated,
                          const struct elf_object **found);
// The same of what is to be glibc's: has it open the file that a search finds.
e64_status discover_by_glibc(struct discovery *discovery, const char *name,
                             e64_plugin *wanter,
                             const struct elf_object **found);
e64_status discover_source(struct discovery *discovery,
                           const e64_source *source, bool isolated,
                           const struct elf_object **found);
// Adds a plugin to those that are new, which then owns it, unless E64_CHANGED:
// another thread has its file.
e64_status discover_add(struct discovery *discovery, e64_plugin *plugin);
// Without looking further than what is open already; NULL when it is not.
const struct elf_object *discover_open(struct discovery *discovery,
                                       const char *name);
// Looks for the file, but opens nothing: *found is NULL when it is not open.
e64_status discover_loaded(struct discovery *discovery, const char *name,
                           const struct elf_object **found);

// On whose behalf a search is made, and what loaded that in turn. NULL for
// NULL.
enum { DISCOVER_LOADERS = 64 };
const struct search_wanter *discover_wanters(const e64_plugin *plugin,
                                             struct search_wanter *chain);

// ---------------------------------------------------------- discovery.c ---

// What was opened `global` before.
e64_status discovery_globals(struct discovery *discovery);
// Undoes what was not published; the second keeps the pending failure.
void discovery_free(struct discovery *discovery);
void discovery_fail(struct discovery *discovery);

// ------------------------------------------------------------- claims.c ---
// With the runtime's lock held.

// The plugin of that file which another thread is mapping or stopping, or NULL.
e64_plugin *claims_find(e64_runtime *runtime, const struct elf_file *file);
void claims_add(e64_plugin *plugin);
// Does nothing for one that is not claimed.
void claims_remove(e64_plugin *plugin);
// In a child of fork: those of threads that are gone.
void claims_forget_others(e64_runtime *runtime);

// ------------------------------------------------------------- pinned.c ---

// Keeps a plugin that was found from being closed by another thread until the
// open has ended. With the runtime's lock held, under which it was found.
void pinned_add(struct discovery *discovery, e64_plugin *plugin);
// The same for the open of the runtime that this thread is in, if it is.
void pinned_add_innermost(e64_plugin *plugin);
// An open begins, on whose thread.
void pinned_begin(struct discovery *discovery);
void pinned_release(struct discovery *discovery);
// In a child of fork, with the runtime's lock held: what other threads have
// pinned is pinned no more.
void pinned_forget_others(e64_runtime *runtime);
// A name by which others shall find it too, once the open has succeeded; and
// what has been given such a name by this open, or NULL.
e64_status pinned_add_name(struct discovery *discovery, e64_plugin *plugin,
                           const char *name);
e64_plugin *pinned_find_name(const struct discovery *discovery,
                             const char *name);
// Makes the names known. With the runtime's lock held.
void pinned_publish_names(struct discovery *discovery);

// -------------------------------------------------------------- scope.c ---

// The breadth-first list of all that an object needs, itself included, what is
// missing being discovered on the way (gABI "Shared Object Dependencies").
e64_status scope_list(struct discovery *discovery,
                      const struct elf_object *root,
                      const struct elf_object ***list, uint32_t *count);

// -------------------------------------------------------------- order.c ---

// Both sort plugins in place, dependents first, as ld.so does, with the
// runtime's lock held.

// What a root needs, the root standing first. When the root is fresh it cuts
// the circles that it is part of.
e64_status order_start(e64_plugin **plugins, uint32_t count, bool fresh);
// What is to be stopped, in the order in which it was mapped. Bindings beyond
// what is needed count as dependencies, too, where they make no circle.
e64_status order_stop(e64_plugin **plugins, uint32_t count);

// ------------------------------------------------------------- lookup.c ---

// A definition that a lookup has found.
struct lookup_found {
    const struct elf_object *object;
    uint32_t index;
    Elf64_Sym symbol;
    const char *name;
};

// A name to look for, as dlsym has it (`version` NULL) or dlvsym.
struct elf_name lookup_name(const char *text, const char *version);
// The first definition of one in a list of objects.
bool lookup_search(const struct elf_object *const *list, uint32_t count,
                   const struct elf_name *name, struct lookup_found *found);
// What a symbol of that type (STT_*) is.
e64_kind lookup_kind(unsigned char type);
// What it is, but for its address.
void lookup_describe(const struct elf_object *object, uint32_t index,
                     const Elf64_Sym *symbol, e64_symbol *out);
// What it stands for in this thread: runs the resolver of an IFUNC.
e64_status lookup_address(e64_runtime *runtime,
                          const struct lookup_found *found, void **address);

// Of a name that nothing in the list defines: what there is instead. Calls the
// host's code.
e64_status lookup_fail(const e64_plugin *plugin, const char *name,
                       const char *version,
                       const struct elf_object *const *list, uint32_t count);

// ------------------------------------------------------------- depend.c ---

// The plugin is bound to the definer from now on, which stays as long as it
// does; for good without the memory to know that. With the runtime's lock held.
void depend_on_plugin(e64_plugin *plugin, e64_plugin *definer);
// The same for what the host has opened, without it. False, and a failure, when
// the host closes that.
bool depend_on_host(e64_plugin *plugin, struct host_module *module);

// --------------------------------------------------------------- open.c ---

// May a function of the C API, of that name, go by these options? NULL: yes.
e64_status open_check(const char *function, const e64_open_options *options);

// e64_open on behalf of a plugin, which calls dlopen. With `noload` *plugin is
// NULL when the file is there and not open.
e64_status open_for(e64_plugin *caller, const char *name,
                    const e64_open_options *options, e64_plugin **plugin);

// Another handle on what is open by that name, if there is nothing else to be
// done; else NULL. What waits in the runtime is looked at before.
e64_plugin *open_again(e64_runtime *runtime, const char *name,
                       const e64_open_options *options,
                       const e64_plugin *caller);

// Finds out what e64_open would do, and does just that.
e64_status open_plan(struct e64_plan *plan);
e64_status open_planned(const struct e64_plan *plan, e64_plugin **plugin);

// ----------------------------------------------------------- describe.c ---

// The plugin of any runtime that an address lies in, held, or NULL.
e64_plugin *plugin_at(uintptr_t address);
// What a plugin has at an address; false when none lies there.
bool plugin_place(uintptr_t address, e64_place *place);

// --------------------------------------------------------------- bind.c ---

// Maps and binds what was discovered, for a root that is opened. E64_CHANGED
// when the host opened or closed something since that would be taken now.
e64_status bind_group(struct discovery *discovery, e64_plugin *root,
                      bool deepbind);
// Binds them for a plan, without mapping them.
e64_status bind_plan(struct discovery *discovery, const e64_plugin *root,
                     bool deepbind);
// The plugin is part of the runtime: what it is bound to is kept to be looked
// at, and owners of unique symbols must stay. `defined` is what the runtime
// defined by itself, or NULL. With the runtime's lock held.
void bind_publish(e64_plugin *plugin, const struct elf_object *defined);
// IFUNC resolvers and RELRO, for each of the plugins.
e64_status bind_finish(e64_plugin **plugins, uint32_t count);

// -------------------------------------------------------------- start.c ---

// What is to be started before all others though it may need them, or NULL.
e64_plugin *start_first(const e64_plugin *root);
// Runs the IFUNC resolvers of a root and what it needs, and seals them.
e64_status finish_plugin(e64_plugin *root);
// Calls `start` for what a root needs and for the root, in the order in which
// they are started, for those too that have been.
void start_each(const e64_plugin *root,
                void (*start)(void *data, e64_plugin *plugin), void *data);
// Does that, then starts the root's dependencies and the root.
e64_status start_plugin(e64_plugin *root);
// Its destructors; then others may map its file again.
void stop_plugin(e64_plugin *plugin);

// -------------------------------------------------------------- close.c ---

e64_status close_plugin(e64_plugin *plugin);
// Something that was booked for it has ended and is taken off the count, which
// is one of the plugin's. Whoever closed it before has left the rest to this.
void close_unbooked(e64_plugin *plugin, uint32_t *count);
// The same when an open that has found it is over.
void close_unpinned(e64_plugin *plugin);
// Stops and unmaps all but what must not be unloaded, or not yet.
e64_status close_all(e64_runtime *runtime);

// ------------------------------------------------------------- unique.c ---

e64_status unique_bind(struct discovery *discovery, const char *name,
                       struct link_binding *binding);
// What others were given must stay.
void unique_keep_owner(e64_runtime *runtime, const struct elf_object *definer);
void unique_forget(e64_runtime *runtime, const struct elf_object *definer);
// An open has ended: what it has entered is for good, or goes.
void unique_settle(const struct discovery *discovery, bool stays);
void unique_free(struct uniques *uniques);

// ------------------------------------------------------------ forking.c ---

// Has the locks of this room held around each fork from now on. False for want
// of memory.
bool forking_watch(void);
void runtimes_before_fork(void);
void runtimes_after_fork(bool child);

// ------------------------------------------------------------ process.c ---

// What the process was started with, for constructors.
struct process {
    int argc;
    char **argv;
    char **envp;
};
struct process process_start(void);

// ------------------------------------------------------------ runtime.c ---

// Where it searches first: NULL for nowhere. Others may be searching.
e64_status runtime_set_path(e64_runtime *runtime, const char *path);
// A copy of that, or NULL.
e64_status runtime_path(e64_runtime *runtime, char **path);
// All runtimes, for looking addresses up and for the end of the process.
e64_runtime *runtime_first(void);
// Is there something left of one that was freed, of which only the address may
// be used? What must not be unloaded, or not yet.
bool runtime_remains(const e64_runtime *ended);
// While a thread runs constructors or destructors of a runtime's plugins, the
// runtime is busy. `busy` lies on the stack of that thread.
struct busy {
    e64_runtime *runtime;
    struct busy *outer;
};
void busy_enter(struct busy *busy, e64_runtime *runtime);
void busy_leave(struct busy *busy);
// With the runtime's lock held.
void busy_enter_locked(struct busy *busy, e64_runtime *runtime);
void busy_leave_locked(struct busy *busy);
// To be called with the lock held, which it gives up, when something is done
// with a runtime that may have been freed meanwhile.
void runtime_leave(e64_runtime *runtime);
// Calls `look` with each runtime that was freed while plugins of it wait, and
// its lock held, which `look` gives up.
void runtime_each_freed(void (*look)(e64_runtime *runtime));
// The plugin of that generation, pinned, if it is open in any runtime; else
// NULL.
e64_plugin *runtimes_pin(uint64_t generation);
void runtimes_unpin(e64_plugin *plugin);
void runtime_log(e64_runtime *runtime, e64_log_level level,
                 const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
