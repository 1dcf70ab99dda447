// Opens what is open already by the same name, which is no more than another
// handle.

#include "close.h"
#include "hooks.h"
#include "provide.h"

// Does it change nothing but the count of handles, whatever it is that is open?
static bool is_plain(const e64_open_options *options)
{
    return !options->global && !options->nodelete && !options->noload
        && !options->private_;
}

// Another open may have found it and not opened it by name yet, which makes its
// scope; another thread may be starting or stopping it.
static bool is_open(const e64_plugin *plugin)
{
    return plugin && !plugin->host && plugin->scope
        && atomic_load(&plugin->state) == E64_STATE_STARTED;
}

e64_plugin *open_again(e64_runtime *runtime, const char *name,
                       const e64_open_options *options,
                       const e64_plugin *caller)
{
    runtime_each_freed(waiting_look);
    lock_take(&runtime->lock);
    if (runtime->first_waiting) {
        waiting_look(runtime);
        lock_take(&runtime->lock);
    }
    e64_plugin *plugin = NULL;
    if (is_plain(options) && !provide_by_name(runtime, caller, name))
        plugin = registry_find_name(runtime, name);
    if (is_open(plugin))
        plugin->handles++;
    else
        plugin = NULL;
    lock_give(&runtime->lock);
    return plugin;
}
