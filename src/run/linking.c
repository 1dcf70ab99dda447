// Plugins made of several objects and archives, and objects that are replaced.

#include "hooks.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "objects.h"

// What a source is called where nothing of it is open yet.
static const char *name_of(const e64_source *source)
{
    return source->struct_size < sizeof *source ? "(a source)"
         : source->name ? source->name
         : source->kind == E64_SOURCE_PATH && source->path ? source->path
         : "(a source)";
}

static e64_status open_it(e64_runtime *runtime, const e64_source *source,
                          bool stays, struct object_source **opened)
{
    struct elf_file file;
    e64_status status = elf_file_open(source, &file);
    if (status != E64_OK)
        return status;
    status = hook_verify(runtime, &file);
    if (status == E64_OK && stays && !runtime->hooks.verify)
        status = elf_file_make_private(&file);
    if (status != E64_OK) {
        elf_file_close(&file);
        return status;
    }
    return object_source_new(&file, opened);
}

// Opens one, with the policy's leave. One that stays to be linked again must be
// what it is by then.
static e64_status open_source(e64_runtime *runtime, const e64_source *source,
                              bool stays, struct object_source **opened)
{
    e64_status status = open_it(runtime, source, stays, opened);
    if (status != E64_OK)
        error_about(name_of(source));
    return status;
}

static e64_status fail_list(size_t count, const char *name)
{
    e64_status status = fail_memory(count * sizeof(struct object_source *));
    error_about(name);
    return status;
}

static void release(struct object_source **list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        object_source_release(list[i]);
    memory_free(list);
}

static e64_status check(const e64_runtime *runtime, const e64_source *sources,
                        size_t count, const e64_open_options *options,
                        e64_plugin **plugin)
{
    if (!runtime || !sources || !plugin)
        return fail(E64_INVALID, "e64_link: runtime, sources and plugin must "
                    "not be NULL");
    *plugin = NULL;
    if (count == 0 || count > UINT32_MAX)
        return fail(E64_INVALID, "e64_link: there must be something to link");
    e64_status status = open_check("e64_link", options);
    if (status == E64_OK && options && options->noload)
        return fail(E64_INVALID, "e64_link: what is linked is new, and "
                    "`noload` asks for what is open already");
    return status;
}

static e64_status link_new(e64_runtime *runtime, const e64_source *sources,
                           size_t count, const e64_open_options *options,
                           e64_plugin **plugin)
{
    e64_status status = hook_forbid(runtime, E64_HOOK, "links a plugin in");
    if (status != E64_OK)
        return status;
    struct object_source **list = memory_array(count, sizeof *list);
    if (!list)
        return fail_list(count, name_of(&sources[0]));
    for (size_t i = 0; status == E64_OK && i < count; i++)
        status = open_source(runtime, &sources[i], options->hold, &list[i]);
    if (status == E64_OK)
        status = open_objects(runtime, options->name ? options->name
                              : list[0]->file.name, list, (uint32_t)count,
                              options, plugin);
    release(list, count);
    return status;
}

e64_status e64_link(e64_runtime *runtime, const e64_source *sources,
                    size_t count, const e64_open_options *options,
                    e64_plugin **plugin, e64_error *error)
{
    const e64_open_options none = { .struct_size = sizeof none };
    e64_status status = check(runtime, sources, count, options, plugin);
    if (status == E64_OK)
        status = link_new(runtime, sources, count, options ? options : &none,
                          plugin);
    return error_give(status, error);
}

// ------------------------------------------------------------- replacing ---

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static e64_status fail_name(const e64_plugin *plugin, const char *name,
                            bool several)
{
    const struct objects *objects = plugin->objects;
    const char *near[8];
    uint32_t count = 0;
    for (; count < objects->count && count < 8; count++)
        near[count] = objects->sources[count]->file.name;
    fail(E64_NOTFOUND, "%s: is linked of %s that is called '%s'%s%s",
         plugin->unit.object.name, several ? "more than one file" : "no file",
         name, several ? "" : ", but of ", several ? "" : near[0]);
    error_near(near, count);
    return E64_NOTFOUND;
}

// Which of its files is called so.
static e64_status find(const e64_plugin *plugin, const char *name,
                       uint32_t *found)
{
    const struct objects *objects = plugin->objects;
    uint32_t matches = 0;
    for (uint32_t i = 0; i < objects->count; i++) {
        if (strcmp(objects->sources[i]->file.name, name) == 0) {
            *found = i;
            return E64_OK;
        }
    }
    for (uint32_t i = 0; i < objects->count; i++) {
        if (strcmp(last_part(objects->sources[i]->file.name), name) == 0) {
            *found = i;
            matches++;
        }
    }
    return matches == 1 ? E64_OK : fail_name(plugin, name, matches > 1);
}

// Is it this handle's alone, and has nothing of it run?
static e64_status check_unused(e64_plugin *plugin)
{
    const char *name = plugin->unit.object.name;
    if (atomic_load(&plugin->state) == E64_STATE_STOPPED)
        return fail(E64_CLOSED, "%s: has been closed", name);
    if (!plugin->objects)
        return fail(E64_UNSUPPORTED, "%s: is not made of objects, of which one "
                    "could be replaced", name);
    lock_take(&plugin->runtime->lock);
    bool used = plugin->handles > 1 || plugin->dependents || plugin->pins;
    lock_give(&plugin->runtime->lock);
    const char *why = atomic_load(&plugin->state) != E64_STATE_MAPPED
                   || atomic_load(&plugin->sealed)
                    ? "has been started; open it with `hold` (in Lua: start = "
                      "false), and replace its objects first"
                    : used ? "is in use by another handle, or another plugin"
                    : NULL;
    if (!why)
        return E64_OK;
    fail(E64_INUSE, "%s: %s", name, why);
    error_path(name);
    return E64_INUSE;
}

static e64_status link_again(const e64_plugin *old, uint32_t replaced,
                             const e64_source *source, e64_plugin **plugin)
{
    const struct objects *objects = old->objects;
    uint32_t count = objects->count;
    struct object_source **list = memory_array(count, sizeof *list);
    if (!list)
        return fail_list(count, old->unit.object.name);
    e64_status status = open_source(old->runtime, source, true,
                                    &list[replaced]);
    for (uint32_t i = 0; i < count; i++)
        if (i != replaced)
            list[i] = object_source_retain(objects->sources[i]);
    if (status == E64_OK)
        status = open_objects(old->runtime, old->names->text, list, count,
                              &objects->options, plugin);
    release(list, count);
    return status;
}

e64_status e64_replace(e64_plugin **plugin, const char *name,
                       const e64_source *source, e64_error *error)
{
    uint32_t replaced;
    e64_plugin *made = NULL;
    if (!plugin || !*plugin || !name || !source)
        return error_give(fail(E64_INVALID, "e64_replace: plugin, name and "
                               "source must not be NULL"), error);
    e64_status status = hook_forbid((*plugin)->runtime, E64_HOOK,
                                    "links a plugin in");
    if (status == E64_OK)
        status = check_unused(*plugin);
    if (status == E64_OK)
        status = find(*plugin, name, &replaced);
    if (status == E64_OK)
        status = link_again(*plugin, replaced, source, &made);
    if (status == E64_OK) {
        status = e64_close(*plugin, error);
        if (status != E64_OK) {
            e64_close(made, NULL);
            return status;
        }
        *plugin = made;
    }
    return error_give(status, error);
}
