// Why something is as it is: a part of elf64load.h, which includes it.
//
// These look at what is open, from any thread, with nothing locked while a
// visitor runs. The plugin that is asked about must stay open meanwhile. Where
// memory lacks for it, less is told.

#ifndef ELF64LOAD_WHY_H
#define ELF64LOAD_WHY_H

#ifndef ELF64LOAD_H
#error "include elf64load.h"
#endif

// -------------------------------------------------------- why it is mapped ---

typedef enum e64_reason_kind {
    // Who asked for it, and by which name, when it was mapped; then who had
    // asked for that one, up to an open.
    E64_REASON_ASKED = 0,
    // A file that the search for it has tried, in the order of the search.
    E64_REASON_PROBE,
    // The search hook answered.
    E64_REASON_HOOK,
    // Another name that it is known by.
    E64_REASON_NAME,
    // What keeps it open: handles, and plugins that need it, or that are bound
    // to it though they do not need it.
    E64_REASON_HANDLE,
    E64_REASON_DEPENDENT,
    E64_REASON_BOUND,
    // A plugin that it needs and that needs it, directly or by others.
    E64_REASON_CIRCLE,
} e64_reason_kind;

// One reason. Fields that do not apply are NULL or zero.
typedef struct e64_reason {
    e64_reason_kind kind;
    const char *name;    // of the kind: "asked", "probe", ...
    const char *message; // "/lib/libz.so.1 was taken (ld.so.cache)"
    const char *as;      // the name that it was asked for or is known by
    const char *path;    // the other plugin, or the file that was tried
    const char *place;   // of a probe: "DT_RUNPATH", "ld.so.cache", ...
    const char *owner;   // whose DT_RPATH or DT_RUNPATH
    e64_status result;   // of a probe: E64_OK when it was taken
    uint64_t number;     // of handles
} e64_reason;

// Calls `visit` with each reason, in the order of the kinds, until it answers
// non-zero, which is returned. The strings live until `visit` returns. Names,
// wanters and probes are those of the open that mapped the plugin, as they were
// then.
E64_API int e64_why(e64_plugin *plugin,
                    int (*visit)(void *data, const e64_reason *reason),
                    void *data);

// ----------------------------------------------- what imports are bound to ---

typedef enum e64_bound {
    E64_BOUND_SCOPE = 0, // the first in the scope that defines it
    E64_BOUND_OWN,       // its own: the symbol is local, hidden or protected
    E64_BOUND_LOADER,    // a function of this loader's, for one of glibc's
    E64_BOUND_INTERCEPTED, // what the policy has in place of the definition
    E64_BOUND_DEFINED,   // what the runtime defines by itself: e64_define
    E64_BOUND_RESOLVED,  // what the resolve hook answered
    E64_BOUND_WAITING,   // not yet: it is looked for when it is first called
    E64_BOUND_NOTHING,   // weak, and nothing defines it: the address is zero
} e64_bound;

// One import of a plugin. The strings live as long as the plugin, but for the
// message and those of `others`, which live until the visitor returns.
typedef struct e64_binding {
    e64_plugin *wanter;
    const char *symbol;
    const char *version;  // that is asked for, or NULL
    e64_bound bound;
    const char *how;      // that, by its name: "scope", "own", ...
    const char *message;  // "a.so gets 'f' from b.so"; lives as `others` do
    const char *file;     // the definer's path, or NULL
    e64_plugin *plugin;   // the definer; NULL when it is the host's
    const char *provided; // the version of the definition, or NULL
    e64_kind kind;        // of the definition
    void *address; // NULL for thread-local symbols, and where it is not known
    // NULL-terminated: who else in the scope defines it as it is now, in order.
    // Of a named symbol only.
    const char *const *others;
} e64_binding;

// Calls `visit` for each import of the plugin that something in it refers to,
// or those of that name (`symbol` not NULL), until it answers non-zero, which
// is returned. There are none until the plugin is bound: for the hooks before
// `accept`.
E64_API int e64_bindings(e64_plugin *plugin, const char *symbol,
                         int (*visit)(void *data, const e64_binding *binding),
                         void *data);

#endif
