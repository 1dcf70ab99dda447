// Asking the embedder's hooks, with nothing locked, and telling it of events.

#ifndef RUN_HOOKS_H
#define RUN_HOOKS_H

#include "run.h"

// One hook while it runs. Lies on the stack of the thread that it runs on.
struct hook_call {
    e64_runtime *runtime;
    const char *hook;    // its name
    const e64_import *import; // that it is asked about, or NULL
    const char *misused; // what it did though it must not, or NULL
    struct hook_call *outer;
};

void hook_enter(struct hook_call *call, e64_runtime *runtime,
                const char *hook);
void hook_leave(struct hook_call *call);

// What must not be done in a hook of the runtime is about to be: `status`, and
// a failure, when the thread is in one; else E64_OK. `what` is what the hook
// then does to it: "opens a plugin in".
e64_status hook_forbid(e64_runtime *runtime, e64_status status,
                       const char *what);

// Makes a failure of what a hook has answered, other than E64_OK, or of what it
// must not have done. `about` is the plugin or the name that it was asked
// about, or the plugin that has the import.
e64_status hook_failed(const struct hook_call *call, e64_status answer,
                       const e64_error *error, const char *about);

// Where is the file? False leaves that to the loader's own search, and *why may
// then be a copy of the reason; else the file is opened, or *status says why
// not.
bool hook_find_file(e64_runtime *runtime, const char *name, e64_plugin *wanter,
                    struct elf_file *file, e64_status *status, char **why);

// Says of a failure of such a file that the hook has answered it for the name.
e64_status hook_blame_search(e64_status status, const char *name,
                             const e64_plugin *wanter);

// May the plugin be started?
e64_status hook_accept(e64_plugin *plugin);

// May the bytes of the file be mapped? Before it is asked they become a copy
// that stays as it is.
e64_status hook_verify(e64_runtime *runtime, struct elf_file *file);

// Where are a plugin's imports to be looked up? Changes the scope, or not; what
// it then points to is *objects (memory_free), also after a failure.
// scope_hook.c.
e64_status hook_scope(struct discovery *discovery, e64_plugin *plugin,
                      struct link_scope *scope,
                      const struct elf_object ***objects);

// In which order are the plugins of a root to be started? arrange.c.
e64_status hook_order(e64_plugin *root);

// Tells of an event, if somebody wants to know. For a failure `plugin` is NULL
// and it is the pending one.
void hook_tell(e64_runtime *runtime, e64_event_kind kind, e64_plugin *plugin,
               const char *path, uint64_t took);
// What to give as `took`: nanoseconds since then.
static inline uint64_t hook_since(uint64_t begin)
{
    return run_now() - begin;
}

#endif
