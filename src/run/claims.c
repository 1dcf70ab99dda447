// Files that one thread is mapping, or whose plugin it is stopping: another
// thread that wants the same file waits, so that each is mapped once, and after
// the last one's destructors have run. All with the runtime's lock held.

#include "run.h"

#include "work.h"

e64_plugin *claims_find(e64_runtime *runtime, const struct elf_file *file)
{
    for (e64_plugin *plugin = runtime->claimed; plugin;
         plugin = plugin->next_claimed)
        if (!plugin->isolated && elf_file_is_same(&plugin->unit.file, file)
            && work_is_elsewhere(plugin))
            return plugin;
    return NULL;
}

void claims_add(e64_plugin *plugin)
{
    e64_runtime *runtime = plugin->runtime;
    plugin->claimed = work_try(plugin);
    if (!plugin->claimed)
        return;
    plugin->next_claimed = runtime->claimed;
    runtime->claimed = plugin;
}

static void unlink_claim(e64_plugin *plugin)
{
    e64_plugin **at = &plugin->runtime->claimed;
    while (*at != plugin)
        at = &(*at)->next_claimed;
    *at = plugin->next_claimed;
    plugin->claimed = false;
}

void claims_remove(e64_plugin *plugin)
{
    if (!plugin->claimed)
        return;
    unlink_claim(plugin);
    work_give(plugin);
}

void claims_forget_others(e64_runtime *runtime)
{
    for (e64_plugin *plugin = runtime->claimed, *next; plugin; plugin = next) {
        next = plugin->next_claimed;
        if (work_is_elsewhere(plugin))
            unlink_claim(plugin);
    }
}
