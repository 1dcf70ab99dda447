// Makes plugins of files that were found: reads and checks them, and has
// objects linked first.

#include "read.h"

#include "../elf/archive.h"
#include "../elf/go.h"
#include "../error.h"
#include "../memory.h"
#include "objects.h"

// Go's package plugin tells the runtime that it belongs to what it has opened;
// nobody else can.
static bool lacks_go_runtime(const struct discovery *discovery,
                             const e64_plugin *plugin)
{
    const e64_plugin *caller = discovery->caller;
    return elf_is_go_plugin(&plugin->unit.image.symbols)
        && !(caller && caller->unit.image.go);
}

static e64_status check_openable(const struct discovery *discovery,
                                 const e64_plugin *plugin)
{
    const char *name = plugin->unit.object.name;
    if (plugin->unit.image.flags_1 & DF_1_NOOPEN) {
        fail(E64_UNSUPPORTED, "%s: asks not to be opened at run time "
             "(DF_1_NOOPEN)", name);
    } else if (lacks_go_runtime(discovery, plugin)) {
        fail(E64_UNSUPPORTED, "%s: is a Go plugin (-buildmode=plugin), which "
             "cannot start the Go runtime that it needs; elf.open in Lua gives "
             "it one, by the path of the file, and so does a Go library with "
             "plugin.Open", name);
        error_symbol(ELF_GO_RUNTIME, NULL);
    } else {
        return E64_OK;
    }
    error_path(name);
    return E64_UNSUPPORTED;
}

// What the search has come upon is the plugin's from here on.
static e64_status keep_why(struct discovery *discovery, e64_plugin *plugin,
                           const e64_plugin *wanter)
{
    plugin->why = discovery->why;
    discovery->why = (struct why){ .asked = false };
    if (wanter)
        plugin->why.wanter = memory_copy(wanter->unit.object.name);
    return plugin->why.probes.failed || (wanter && !plugin->why.wanter)
         ? fail_memory(sizeof plugin->why) : E64_OK;
}

// Reads the file of a plugin, and adds it to those that are new; on failure it
// is gone.
static e64_status read_file(struct discovery *discovery, const char *name,
                            e64_plugin *wanter, bool isolated,
                            e64_plugin *plugin, e64_plugin **made)
{
    plugin->loader = wanter;
    plugin->isolated = isolated;
    plugin->rules = policy_rules(discovery->runtime->policy,
                                 plugin->unit.file.name, name);
    e64_status status = link_read(&plugin->unit);
    if (status == E64_OK)
        status = check_openable(discovery, plugin);
    if (status == E64_OK)
        status = keep_why(discovery, plugin, wanter);
    if (status == E64_OK)
        status = plugin_add_name(plugin, name);
    if (status == E64_OK && plugin->unit.object.soname)
        status = plugin_add_name(plugin, plugin->unit.object.soname);
    if (status == E64_OK)
        status = discover_add(discovery, plugin);
    if (status != E64_OK) {
        plugin_drop(plugin);
        return status;
    }
    // Threads of the Go runtime run on, and it cannot be stopped.
    plugin->nodelete = plugin->unit.image.flags_1 & DF_1_NODELETE
                    || plugin->unit.image.go;
    *made = plugin;
    return E64_OK;
}

// Which members to take is for whoever links it with others to say.
static e64_status refuse_archive(const e64_plugin *plugin)
{
    const char *name = plugin->unit.file.name;
    fail(E64_BADFORMAT, "%s: is an archive; link it, alone or with objects: "
         "elf.link in Lua, e64_link in C", name);
    error_path(name);
    return E64_BADFORMAT;
}

e64_status read_plugin(struct discovery *discovery, const char *name,
                       e64_plugin *wanter, struct elf_file *file,
                       bool isolated, e64_plugin **made)
{
    e64_plugin *plugin;
    e64_status status = plugin_new(discovery->runtime, &plugin);
    if (status != E64_OK) {
        elf_file_close(file);
        return status;
    }
    plugin->unit.file = *file;
    if (elf_is_archive(file->view))
        status = refuse_archive(plugin);
    else if (objects_are(file->view))
        status = objects_link_file(plugin, discovery->options);
    if (status != E64_OK) {
        plugin_drop(plugin);
        return status;
    }
    return read_file(discovery, name, wanter, isolated, plugin, made);
}

bool read_is_family(const e64_plugin *plugin)
{
    const char *soname = plugin->unit.object.soname;
    return soname && host_is_family(soname);
}

e64_status read_refuse_family(const e64_plugin *plugin)
{
    const char *name = plugin->names->text;
    if (!read_is_family(plugin))
        return E64_OK;
    fail(E64_UNSUPPORTED, "%s: is %s, which belongs to the host family: only "
         "glibc may open it, by its path", name, plugin->unit.object.soname);
    error_path(name);
    return E64_UNSUPPORTED;
}

e64_status discover_objects(struct discovery *discovery, const char *name,
                            struct object_source *const *sources,
                            uint32_t count, bool isolated,
                            const struct elf_object **found)
{
    e64_plugin *plugin, *made;
    e64_status status = plugin_new(discovery->runtime, &plugin);
    if (status != E64_OK)
        return status;
    status = objects_link(plugin, name, sources, count, discovery->options);
    if (status != E64_OK) {
        plugin_drop(plugin);
        return status;
    }
    // A list of objects is no file.
    plugin->unit.file.identified = false;
    status = read_file(discovery, name, NULL, isolated, plugin, &made);
    if (status != E64_OK)
        return status;
    *found = &made->unit.object;
    return read_refuse_family(made);
}
