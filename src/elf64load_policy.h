// How a program decides what plugins come from, what their names mean, what
// they may use and when they start. Part of elf64load.h, which includes it.
//
// A hook is a function with its data, given in e64_runtime_options. For all of
// them:
//
// - It runs in the call that needs the answer, on that call's thread, with no
//   lock of the loader held; two threads may be in it at the same time.
// - E64_OK is yes. Any other status fails the open with that status and undoes
//   all of it; `error` may be filled to say why, and then its message and
//   details are the open's. What is no failure (E64_CHANGED, an unknown number)
//   counts as E64_HOOK.
// - `error` comes zeroed. Its strings are copied when the hook has returned;
//   what is made in the hook may lie in error->storage.
// - In a hook, `search` of elf64load.h included, nothing can be opened,
//   planned, started, closed or freed in the runtime that asks: such a call
//   answers E64_HOOK or E64_INUSE, and the open that is under way fails as
//   E64_HOOK. Other runtimes may be used.
// - A plugin that a hook is shown while it is being opened may be described and
//   looked up in. It may be gone when the hook has returned; e64_retain does
//   not change that: an open that fails takes all handles with it.

#ifndef ELF64LOAD_POLICY_H
#define ELF64LOAD_POLICY_H

#ifndef ELF64LOAD_H
#error "include elf64load.h"
#endif

// --------------------------------------------------------------- deciding ---

// The bytes of a plugin that is about to be mapped.
typedef struct e64_image {
    size_t struct_size;
    const char *path; // of its file, or the source's name
    const void *bytes;
    uint64_t size;
} e64_image;

// May these bytes be mapped? They are a private copy (a sealed memfd, or memory
// where there is none), and just that is mapped then, whatever happens to the
// file meanwhile. They are valid until the hook returns. Asked for each file
// before it is read; not for what glibc opens: the host family. A file of
// another name that turns out to be of the host family by its DT_SONAME is
// refused as E64_DENIED where there is this hook, unless the process has one of
// that DT_SONAME already: glibc would read the file again.
typedef e64_status (*e64_verify_hook)(void *data, e64_runtime *runtime,
                                      const e64_image *image,
                                      e64_error *error);

// Who defines names: an entry of a scope.
typedef struct e64_provider {
    e64_plugin *plugin; // NULL: the host's, or what the runtime defines
    const char *path;
    const void *object; // what tells it from others
} e64_provider;

// A scope that a hook makes.
typedef struct e64_scope e64_scope;

// Where are the imports of a plugin looked up? `providers` are the places by
// ld.so's rules, the first that defines a name counts: with -Bsymbolic the
// plugin itself, what the runtime defines, the host's, what was opened
// globally, then the plugin that is opened and all that it needs. E64_OK: the
// scope is what e64_scope_add was given, in that order; E64_NOTFOUND without
// touching `error`: it stays as it is. What is left out is not found, the
// plugin's own definitions included. It is not for dlsym. Plugins are bound
// when they are opened then, never lazily.
typedef e64_status (*e64_scope_hook)(void *data, e64_runtime *runtime,
                                     e64_plugin *plugin,
                                     const e64_provider *providers,
                                     size_t count, e64_scope *scope,
                                     e64_error *error);

// Adds one of the hook's providers, or by its `plugin` alone another plugin
// that is open in the runtime, which stays so as long as something of it is
// used. E64_INVALID for anything else; the open fails as E64_HOOK when the hook
// then answers that. To be called in the hook only.
E64_API e64_status e64_scope_add(e64_scope *scope,
                                 const e64_provider *provider,
                                 e64_error *error);

// How an import is used.
typedef enum e64_import_kind {
    E64_IMPORT_CALL = 0, // a function that is called (R_X86_64_JUMP_SLOT)
    E64_IMPORT_ADDRESS,  // its address is taken (R_X86_64_GLOB_DAT, _64, ...)
    E64_IMPORT_TLS,      // a thread-local variable
    E64_IMPORT_SIZE,     // its size is asked for
} e64_import_kind;

// A name that a plugin wants from elsewhere.
typedef struct e64_import {
    size_t struct_size;
    const char *name;
    const char *version; // the one that it was linked to; NULL without
    e64_plugin *wanter;
    e64_import_kind kind;
    unsigned char weak; // it may be missing: its address is then NULL
} e64_import;

// What does a name mean that nothing defines? E64_OK with the address in
// *symbol, and with its size and kind if they matter; E64_NOTFOUND without
// touching `error` when the hook does not know either. When `plugin` is set in
// *symbol, an open plugin of the same runtime, that one stays open as long as
// the wanter, and so does a library of the host that the address lies in. There
// is no address for a thread-local variable. Asked once for each such name of a
// plugin, weak ones too, when it is opened; but not for __gmon_start__ and
// _ITM_*TMCloneTable, which start files ask for in passing.
typedef e64_status (*e64_resolve_hook)(void *data, e64_runtime *runtime,
                                       const e64_import *import,
                                       e64_symbol *symbol, e64_error *error);

// May this plugin, which is mapped and bound, be started? Asked for each one
// that an open has mapped, dependencies first, before anything of it has run.
typedef e64_status (*e64_accept_hook)(void *data, e64_runtime *runtime,
                                      e64_plugin *plugin, e64_error *error);

// Puts the plugins that an open is going to start into another order. They come
// in ld.so's, and start from the first to the last. The answer must hold the
// same plugins, each after those that it needs; where these make a circle the
// order that came counts. With `force` only the first is checked. Asked when
// they have been bound, also for an open that holds the start back.
typedef e64_status (*e64_order_hook)(void *data, e64_runtime *runtime,
                                     e64_plugin **plugins, size_t count,
                                     e64_error *error);

// ------------------------------------------------------------------ tables ---

// Replaces what imports of that name get. It need not be defined.
typedef struct e64_intercept {
    size_t struct_size;
    const char *name;
    // What they get. A library of the host that it lies in stays open as long
    // as they do; a plugin that it lies in is the program's to keep.
    void *address;
    // When not NULL: set to what they would have got, NULL when that is
    // nothing, before a plugin that is opened is written to. Where plugins
    // would have got different things it is the last one's.
    void **original;
    // When not NULL, asked in place of `address` at each such import, like a
    // hook: fills *address, or leaves it NULL not to intercept this one.
    // `original` is what it would have got; its address is NULL when nothing
    // defines the name, and for an IFUNC of a plugin that has not been started.
    e64_status (*choose)(void *data, e64_runtime *runtime,
                         const e64_import *import, const e64_symbol *original,
                         void **address, e64_error *error);
    void *data;
} e64_intercept;

// What stands for a library that is asked for by that name, by a plugin that
// needs it or by whoever opens it.
typedef enum e64_provide_kind {
    E64_PROVIDE_HOST = 0, // the host's: glibc opens it if it has it not yet
    E64_PROVIDE_PATH,     // what `path` is the path or the name of
    E64_PROVIDE_SOURCE,   // what is read from `source`
    E64_PROVIDE_TABLE,    // what is defined, and nothing else
} e64_provide_kind;

typedef struct e64_provide {
    size_t struct_size;
    const char *name; // exactly as it is asked for: "libfoo.so.1"
    e64_provide_kind kind;
    const char *path;
    const e64_source *source; // copied, but not its bytes, which must stay as
                              // long as the runtime, like what it reads from
    const struct e64_definition *definitions; // copied; none has a cell
    size_t definition_count;
} e64_provide;

// Rules for plugins' imports: for what leaves a plugin when it is opened, and
// for what it asks dlsym for. What a plugin finds in itself, and what the
// program looks up, is not under them. Lists of names hold exact names and
// globs (`*`, `?`, [a-z], [!a-z], and a backslash to quote them) and end in
// NULL. Of arrays, the first element's struct_size is the size of each.
//
// A name that is denied fails the open as E64_DENIED; for a weak import it is
// as if nothing defined it, and for dlsym it is not found. __cxa_finalize, by
// which each plugin ends its own destructors, can not be denied.
//
// Plugins to which allow, deny, intercept or the resolve hook have something to
// say are bound when they are opened, never lazily.
//
// This guards against mistakes and drift, not against hostile code, which can
// make system calls.
typedef struct e64_rules {
    size_t struct_size;
    const char *const *allow; // NULL: all; a name must be on it
    const char *const *deny;  // NULL: none; comes before `allow`
    const e64_intercept *intercept;
    size_t intercept_count;
    const e64_provide *provide; // for whom it is needed; the runtime's also for
    size_t provide_count;       // what is opened by name
} e64_rules;

// Other rules for some plugins: what is set in them replaces what the runtime
// says, but what the runtime denies stays denied. `glob` is matched against a
// plugin's path and the name that it was asked for by; in it `*` stands for no
// slash and `**` does. Unless it begins with a slash, what comes before a slash
// of the path need not match: "mods/*" is for "/opt/game/mods/a.so". Where
// several match, the first that sets something counts for that.
typedef struct e64_override {
    size_t struct_size;
    const char *glob;
    const e64_rules *rules;
} e64_override;

// ------------------------------------------------------------- definitions ---

// A name that a runtime defines by itself, for all plugins that it opens from
// then on: it is found as in a library that is preloaded, by imports and by
// plugins' dlsym, before what the host and the plugins define; after a plugin's
// own definitions where it was linked with -Bsymbolic, or after all of its own
// scope where it is opened with `deepbind`. Plugins with such names are bound
// when they are opened, never lazily.
typedef struct e64_definition {
    size_t struct_size;
    const char *name;
    // NULL: it counts for every version that is asked for.
    const char *version;
    void *address;
    uint64_t size; // in bytes; 0 when that does not matter
    e64_kind kind; // E64_KIND_FUNCTION, _OBJECT or _NOTYPE
    // A function's address is that of a cell, which goes on to `address`:
    // defining it again with a cell has all that is bound to it go on to the
    // new one, from one call to the next.
    unsigned char cell;
} e64_definition;

// E64_DUPLICATE when the runtime defines that name of that version already,
// unless both have cells. May be called from hooks.
E64_API e64_status e64_define(e64_runtime *runtime,
                              const e64_definition *definition,
                              e64_error *error);

// All of an array, whose first element's struct_size is the size of each, or
// none of it.
E64_API e64_status e64_define_all(e64_runtime *runtime,
                                  const e64_definition *definitions,
                                  size_t count, e64_error *error);

// From then on the runtime does not define it any more. E64_INUSE while a
// plugin that is mapped is bound to it; with a cell it can be taken back all
// the same, and what is bound to it goes on to the last address: define
// something that may stay there before.
E64_API e64_status e64_undefine(e64_runtime *runtime, const char *name,
                                const char *version, e64_error *error);

// ------------------------------------------------------------------ events ---

typedef enum e64_event_kind {
    E64_EVENT_MAPPED = 0, // took: to map it
    E64_EVENT_BOUND,      // took: to find what it imports, and to write that
    E64_EVENT_STARTED,    // took: its constructors
    E64_EVENT_STOPPED,    // took: its destructors
    E64_EVENT_UNMAPPED,   // also of one that was mapped by an open that failed
    E64_EVENT_FAILED,     // took: the open, or the start
} e64_event_kind;

typedef struct e64_event {
    size_t struct_size;
    e64_event_kind kind;
    const char *name;   // of the kind: "mapped", "bound", ...
    e64_plugin *plugin; // NULL for a failed open
    const char *path;   // of its file; for a failed open what was asked for
    uint64_t when;      // CLOCK_MONOTONIC in nanoseconds
    uint64_t took;      // nanoseconds
    const e64_error *error; // of what failed; else NULL
} e64_event;

// Told of what has happened; it can change nothing. `event` is valid until it
// returns. It is told of plugins that this loader has mapped, until the runtime
// is freed or the process ends.
typedef void (*e64_event_hook)(void *data, e64_runtime *runtime,
                               const e64_event *event);

#endif
