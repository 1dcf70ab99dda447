// Asks the embedder's hooks, and tells it of events. A hook may do to us what
// it likes: what it must not do is refused, and fails the open that asked.

#include "hooks.h"

#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "../memory.h"

static __thread struct hook_call *innermost
    __attribute__((tls_model("initial-exec")));

void hook_enter(struct hook_call *call, e64_runtime *runtime,
                const char *hook)
{
    *call = (struct hook_call){ .runtime = runtime, .hook = hook,
                                .outer = innermost };
    innermost = call;
}

void hook_leave(struct hook_call *call)
{
    innermost = call->outer;
}

e64_status hook_forbid(e64_runtime *runtime, e64_status status,
                       const char *what)
{
    for (struct hook_call *call = innermost; call; call = call->outer) {
        if (call->runtime != runtime)
            continue;
        call->misused = what;
        return fail(status, "the %s hook %s the runtime that waits for its "
                    "answer: use another runtime, or do it when the open has "
                    "returned", call->hook, what);
    }
    return E64_OK;
}

static size_t length(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

// Lists that stand beside that of the symbols may be left out.
static void take_missing(const e64_error *error)
{
    enum { MOST_MISSING = 64 };
    struct error_missing missing[MOST_MISSING];
    size_t count = length(error->missing);
    size_t versions = length(error->missing_versions);
    size_t wanters = length(error->missing_wanters);
    if (count > MOST_MISSING)
        count = MOST_MISSING;
    for (size_t i = 0; i < count; i++)
        missing[i] = (struct error_missing){
            error->missing[i],
            i < versions ? error->missing_versions[i] : "",
            i < wanters ? error->missing_wanters[i]
                        : error->wanter ? error->wanter : "",
        };
    error_missing(missing, count);
}

// Keeps what the hook has said: its strings may lie anywhere.
static e64_status take_over(e64_status status, const e64_error *error)
{
    fail(status, "%s", error->message);
    error_errno(error->system_errno);
    if (error->wanter)
        error_wanter(error->wanter);
    if (error->path)
        error_path(error->path);
    if (error->symbol || error->version)
        error_symbol(error->symbol, error->version);
    if (error->scopes)
        error_scopes(error->scopes, length(error->scopes));
    if (error->near)
        error_near(error->near, length(error->near));
    if (error->missing)
        take_missing(error);
    if (error->versions)
        error_versions(error->versions, length(error->versions));
    if (error->demangled)
        error_demangled(error->demangled);
    if (error->advice)
        error_advice(error->advice);
    return status;
}

// E64_CHANGED would have the open begin again.
static e64_status kind_of(e64_status answer)
{
    return answer > E64_OK && answer <= E64_INVALID && answer != E64_CHANGED
         ? answer : E64_HOOK;
}

// Who wanted what, and what the hook did then.
static e64_status say(const struct hook_call *call, e64_status status,
                      const char *about, const char *deed, const char *rest)
{
    const e64_import *import = call->import;
    fail(status, "%s%s%s%s: the %s hook %s%s", about,
         import ? " needs '" : "", import ? import->name : "",
         import ? "'" : "", call->hook, deed, rest);
    error_path(about);
    if (import) {
        error_wanter(about);
        error_symbol(import->name, import->version);
    }
    return status;
}

e64_status hook_failed(const struct hook_call *call, e64_status answer,
                       const e64_error *error, const char *about)
{
    if (call->misused)
        return say(call, E64_HOOK, about, call->misused, " the runtime that "
                   "asks it, which must not be: use another runtime, or do it "
                   "when the open has returned");
    e64_status status = kind_of(answer);
    if (error->message)
        return take_over(status, error);
    char deed[64] = "failed";
    if (status != E64_HOOK)
        snprintf(deed, sizeof deed, "refused it (%s)",
                 e64_status_name(status));
    return say(call, status, about, deed, ", and gave no reason");
}

e64_status hook_blame_search(e64_status status, const char *name,
                             const e64_plugin *wanter)
{
    if (status != E64_OK)
        error_instead(name, "the search hook answered",
                      wanter ? wanter->unit.object.name : NULL);
    return status;
}

// What the search hook has filled is no source: not the caller's mistake.
static e64_status refuse_source(const char *name)
{
    char why[160];
    snprintf(why, sizeof why, "%s", error_pending()->message);
    fail(E64_HOOK, "%s: the search hook answered E64_OK and filled no source "
         "that can be opened: %s", name, why);
    error_path(name);
    return E64_HOOK;
}

static e64_status open_answer(const e64_source *source, const char *name,
                              const e64_plugin *wanter, struct elf_file *file)
{
    e64_status status = elf_file_open(source, file);
    if (status == E64_INVALID)
        return refuse_source(name);
    return hook_blame_search(status, name, wanter);
}

// An e64_error takes more of a small stack than all else.
__attribute__((noinline))
bool hook_find_file(e64_runtime *runtime, const char *name, e64_plugin *wanter,
                    struct elf_file *file, e64_status *status, char **why)
{
    e64_source source = { .struct_size = sizeof source };
    struct hook_call call;
    e64_error error;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "search");
    e64_status answer = runtime->search(runtime->search_data, runtime, name,
                                        wanter, &source, &error);
    hook_leave(&call);
    if (answer == E64_NOTFOUND && error.status == E64_OK && !call.misused) {
        *why = error.message ? memory_copy(error.message) : NULL;
        if (!error.message || *why)
            return false;
        *status = fail_memory(strlen(error.message) + 1);
        return true;
    }
    *status = answer == E64_OK && !call.misused
            ? open_answer(&source, name, wanter, file)
            : hook_failed(&call, answer, &error, name);
    if (*status != E64_OK && wanter && !error_pending()->wanter)
        error_wanter(wanter->unit.object.name);
    return true;
}

__attribute__((noinline)) e64_status hook_accept(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    struct hook_call call;
    e64_error error;
    if (!runtime->hooks.accept)
        return E64_OK;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "accept");
    e64_status answer = runtime->hooks.accept(runtime->hooks.accept_data,
                                              runtime, plugin, &error);
    hook_leave(&call);
    if (answer == E64_OK && !call.misused)
        return E64_OK;
    return hook_failed(&call, answer, &error, plugin->unit.object.name);
}

static __attribute__((noinline)) e64_status
ask_verify(e64_runtime *runtime, const struct elf_file *file)
{
    const e64_image image = { sizeof image, file->name, file->view.data,
                              file->view.size };
    struct hook_call call;
    e64_error error;
    memset(&error, 0, offsetof(e64_error, storage));
    hook_enter(&call, runtime, "verify");
    e64_status answer = runtime->hooks.verify(runtime->hooks.verify_data,
                                              runtime, &image, &error);
    hook_leave(&call);
    if (answer == E64_OK && !call.misused)
        return E64_OK;
    return hook_failed(&call, answer, &error, file->name);
}

e64_status hook_verify(e64_runtime *runtime, struct elf_file *file)
{
    if (!runtime->hooks.verify)
        return E64_OK;
    e64_status status = elf_file_make_private(file);
    return status == E64_OK ? ask_verify(runtime, file) : status;
}

static void tell(e64_runtime *runtime, e64_event *event)
{
    static const char *const names[] = {
        [E64_EVENT_MAPPED] = "mapped",
        [E64_EVENT_BOUND] = "bound",
        [E64_EVENT_STARTED] = "started",
        [E64_EVENT_STOPPED] = "stopped",
        [E64_EVENT_UNMAPPED] = "unmapped",
        [E64_EVENT_FAILED] = "failed",
    };
    struct hook_call call;
    event->struct_size = sizeof *event;
    event->name = names[event->kind];
    event->when = run_now();
    hook_enter(&call, runtime, event->name);
    runtime->hooks.event(runtime->hooks.event_data, runtime, event);
    hook_leave(&call);
}

static __attribute__((noinline)) void tell_failure(e64_runtime *runtime,
                                                   e64_event *event)
{
    e64_error error;
    error_save(&error);
    event->error = &error;
    tell(runtime, event);
    error_restore(&error);
}

void hook_tell(e64_runtime *runtime, e64_event_kind kind, e64_plugin *plugin,
               const char *path, uint64_t took)
{
    e64_event event = { .kind = kind, .plugin = plugin, .path = path,
                        .took = took };
    if (!runtime->hooks.event || atomic_load(&runtime->ending))
        return;
    if (kind == E64_EVENT_FAILED)
        tell_failure(runtime, &event);
    else
        tell(runtime, &event);
}
