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
// - In a hook nothing can be opened, started, closed or freed in the runtime
//   that asks: such a call answers E64_HOOK or E64_INUSE, and the open that is
//   under way fails as E64_HOOK. Other runtimes may be used. `search`, whose
//   other rules stand in elf64load.h, may open and close, but not what it is
//   asked for.
// - A plugin that a hook is shown while it is being opened may be described and
//   looked up in. It may be gone when the hook has returned.

#ifndef ELF64LOAD_POLICY_H
#define ELF64LOAD_POLICY_H

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
// before it is read; not for what glibc opens: the host family.
typedef e64_status (*e64_verify_hook)(void *data, e64_runtime *runtime,
                                      const e64_image *image,
                                      e64_error *error);

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
