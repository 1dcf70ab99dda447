// What plugins and debuggers see of a plugin: a struct link_map, as glibc's
// handles are.

#include "handle.h"

#include "../host/forward.h"

// Where glibc's struct link_map has a pointer to a link_map (l_real), ours
// points here.
static const char mark;

void handle_fill(e64_plugin *plugin)
{
    const struct elf_object *object = &plugin->unit.object;
    const struct elf_range *dynamic = &plugin->unit.image.dynamic;
    plugin->handle_mark = &mark;
    if (plugin->process) {
        // As dlopen(NULL) has it: the executable, from which programs walk
        // along the list of what is loaded.
        const struct link_map *executable = host_glibc()->dlopen(NULL,
                                                                RTLD_LAZY);
        if (executable)
            plugin->map = *executable;
        return;
    }
    plugin->map.l_addr = object->bias;
    plugin->map.l_name = plugin->unit.file.name;
    plugin->map.l_ld = plugin->host
        ? (Elf64_Dyn *)plugin->host->dynamic
        : (Elf64_Dyn *)(object->bias + dynamic->vaddr);
}

e64_plugin *handle_plugin(void *handle)
{
    e64_plugin *plugin = handle;
    return plugin->handle_mark == &mark ? plugin : NULL;
}
