// dlopen, dlmopen and dlclose, as plugins see them: what a plugin opens is
// opened by its runtime.

#include "dl.h"

#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "../host/forward.h"
#include "handle.h"

e64_plugin *dl_caller(uintptr_t address)
{
    e64_plugin *plugin = plugin_at(address);
    // It is running: nobody unmaps it meanwhile.
    plugin_drop(plugin);
    return plugin;
}

// The pending failure in the words that glibc has for it, which programs and
// their users know, with what there is to say besides.
static void tell(const char *file)
{
    const e64_error *error = error_pending();
    const char *path = error->path ? error->path : file;
    // It begins with the file that it is about, or with what was looked for.
    const char *message = error->message, *colon = strstr(message, ": ");
    int length = colon ? (int)(colon - message) : 0;
    bool named = error->status == E64_NOTFOUND
              || (strncmp(message, path, (size_t)length) == 0
                  && path[length] == '\0');
    const char *rest = colon && named ? colon + 2 : message;
    switch (error->status) {
    case E64_NOTFOUND:
        dl_failed("%.*s: cannot open shared object file: No such file or "
                  "directory (%s)", length, message, rest);
        break;
    case E64_UNDEFINED:
        dl_failed("%s: undefined symbol: %s%s%s (%s)",
                  error->wanter ? error->wanter : path,
                  error->symbol ? error->symbol : "",
                  error->version ? ", version " : "",
                  error->version ? error->version : "", rest);
        break;
    case E64_VERSION:
        dl_failed("%s: version `%s' not found (required by %s) (%s)", path,
                  error->version ? error->version : "",
                  error->wanter ? error->wanter : file, rest);
        break;
    default:
        dl_failed("%s", message);
    }
}

// The caller's process as a handle, which is one for all: closing it ends
// nothing.
static void *open_process(e64_plugin *caller)
{
    e64_plugin *process;
    e64_error error;
    if (e64_host(caller->runtime, &process, &error) != E64_OK) {
        dl_failed("%s", error.message);
        return NULL;
    }
    lock_take(&caller->runtime->lock);
    process->nodelete = true;
    lock_give(&caller->runtime->lock);
    dl_succeeded();
    return process;
}

// What is glibc's has glibc's own handle, which the host's functions know, too.
static void *reopen(e64_plugin *plugin, int mode)
{
    void *handle = host_glibc()->dlopen(plugin->unit.object.name,
                                       mode | RTLD_NOLOAD);
    if (!handle) // one that glibc knows by no path, such as the executable
        return plugin;
    close_plugin(plugin);
    return handle;
}

static void *open_file(const char *file, int mode, e64_plugin *caller)
{
    const e64_open_options options = {
        .struct_size = sizeof options,
        .global = (mode & RTLD_GLOBAL) != 0,
        .lazy = (mode & RTLD_LAZY) != 0,
        .deepbind = (mode & RTLD_DEEPBIND) != 0,
        .nodelete = (mode & RTLD_NODELETE) != 0,
        .noload = (mode & RTLD_NOLOAD) != 0,
    };
    e64_plugin *plugin;
    if (open_for(caller, file, &options, &plugin) != E64_OK) {
        tell(file);
        return NULL;
    }
    void *handle = plugin && plugin->host ? reopen(plugin, mode) : plugin;
    dl_succeeded();
    return handle;
}

void *dl_open(const char *file, int mode, e64_plugin *caller)
{
    const int known = RTLD_BINDING_MASK | RTLD_NOLOAD | RTLD_DEEPBIND
                    | RTLD_GLOBAL | RTLD_LOCAL | RTLD_NODELETE;
    if (mode & ~known) {
        dl_failed("invalid mode parameter");
        return NULL;
    }
    if (!(mode & RTLD_BINDING_MASK)) {
        dl_failed("%s: invalid mode for dlopen(): Invalid argument",
                  file ? file : "");
        return NULL;
    }
    return file && *file ? open_file(file, mode, caller)
                         : open_process(caller);
}

// The namespaces of glibc are none of ours, but for the base one, in which we
// are.
void *dl_mopen(Lmid_t space, const char *file, int mode, e64_plugin *caller)
{
    if (space == LM_ID_BASE)
        return dl_open(file, mode, caller);
    dl_passed();
    return host_glibc()->dlmopen(space, file, mode);
}

static bool is_open(e64_plugin *plugin)
{
    lock_take(&plugin->runtime->lock);
    bool open = plugin->handles > 0;
    lock_give(&plugin->runtime->lock);
    return open;
}

int dl_close(void *handle, e64_plugin *caller)
{
    (void)caller;
    e64_plugin *plugin = handle ? handle_plugin(handle) : NULL;
    if (!plugin) {
        dl_passed();
        return host_glibc()->dlclose(handle);
    }
    e64_error error;
    if (!is_open(plugin)) {
        dl_failed("%s: shared object not open", plugin->map.l_name);
        return -1;
    }
    if (e64_close(plugin, &error) != E64_OK) {
        dl_failed("%s", error.message);
        return -1;
    }
    dl_succeeded();
    return 0;
}
