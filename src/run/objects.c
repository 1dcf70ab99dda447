// Has objects linked, and keeps what linking them again would need.

#include "objects.h"

#include <string.h>

#include "../elf/relocatable.h"
#include "../error.h"
#include "../memory.h"
#include "hooks.h"

bool objects_are(struct view file)
{
    return elf_is_relocatable(file);
}

const struct elf_file *objects_file(const e64_plugin *plugin)
{
    const struct objects *objects = plugin->objects;
    return objects && objects->count == 1 ? &objects->sources[0]->file
                                          : &plugin->unit.file;
}

e64_status object_source_new(struct elf_file *file,
                             struct object_source **source)
{
    *source = memory_new(sizeof **source);
    if (!*source) {
        elf_file_close(file);
        return fail_memory(sizeof **source);
    }
    atomic_init(&(*source)->users, 1);
    (*source)->file = *file;
    *file = (struct elf_file){ .fd = -1 };
    return E64_OK;
}

struct object_source *object_source_retain(struct object_source *source)
{
    atomic_fetch_add(&source->users, 1);
    return source;
}

void object_source_release(struct object_source *source)
{
    if (!source || atomic_fetch_sub(&source->users, 1) != 1)
        return;
    elf_file_close(&source->file);
    memory_free(source);
}

// The image becomes the plugin's file.
static e64_status take_image(e64_plugin *plugin, struct object_image *image,
                             const char *name)
{
    struct elf_file *file = &plugin->unit.file;
    const struct objects *objects = plugin->objects;
    *file = image->file;
    image->file = (struct elf_file){ .fd = -1 };
    memory_free(file->name);
    file->name = memory_copy(name);
    if (objects->count == 1) {
        const struct elf_file *from = &objects->sources[0]->file;
        file->identified = from->identified;
        file->device = from->device;
        file->inode = from->inode;
        file->modified = from->modified;
        file->changed = from->changed;
        file->copied = true;
    }
    plugin->unit.made = image;
    return file->name ? E64_OK : fail_memory(strlen(name) + 1);
}

// A thin archive's member is shown to `verify`, too: it is what is linked.
static e64_status open_member(void *data, const char *path,
                              struct elf_file *file)
{
    e64_status status = elf_file_open_path(path, file);
    if (status == E64_OK) {
        status = hook_verify(data, file);
        if (status != E64_OK)
            elf_file_close(file);
    }
    return status;
}

static e64_status link_sources(e64_plugin *plugin, const char *name)
{
    struct objects *objects = plugin->objects;
    struct object_input *inputs = memory_array(objects->count, sizeof *inputs);
    if (!inputs)
        return fail_memory(objects->count * sizeof *inputs);
    for (uint32_t i = 0; i < objects->count; i++)
        inputs[i] = (struct object_input){
            .file = &objects->sources[i]->file,
            .open = open_member, .data = plugin->runtime,
        };
    e64_status status = object_link(inputs, objects->count, name,
                                    &objects->image);
    memory_free(inputs);
    if (status == E64_OK)
        status = take_image(plugin, &objects->image, name);
    return status == E64_OK ? statics_read(plugin) : status;
}

e64_status objects_link(e64_plugin *plugin, const char *name,
                        struct object_source *const *sources, uint32_t count,
                        const e64_open_options *options)
{
    struct objects *objects = memory_new(sizeof *objects);
    plugin->objects = objects;
    if (!objects)
        return fail_memory(sizeof *objects);
    objects->sources = memory_array(count, sizeof *objects->sources);
    if (!objects->sources)
        return fail_memory(count * sizeof *objects->sources);
    objects->options = *options;
    objects->options.name = NULL; // that is the plugin's
    for (uint32_t i = 0; i < count; i++) {
        objects->sources[i] = object_source_retain(sources[i]);
        objects->count++;
    }
    return link_sources(plugin, name);
}

e64_status objects_link_file(e64_plugin *plugin,
                             const e64_open_options *options)
{
    struct object_source *source;
    struct elf_file *file = &plugin->unit.file;
    e64_status status = E64_OK;
    if (options->hold)
        status = elf_file_make_private(file);
    if (status == E64_OK)
        status = object_source_new(file, &source);
    if (status != E64_OK)
        return status;
    status = objects_link(plugin, source->file.name, &source, 1, options);
    object_source_release(source);
    return status;
}

static void release_sources(struct objects *objects)
{
    for (uint32_t i = 0; i < objects->count; i++)
        object_source_release(objects->sources[i]);
    memory_free(objects->sources);
    objects->sources = NULL;
    objects->count = 0;
}

void objects_settle(e64_plugin *plugin)
{
    struct objects *objects = plugin->objects;
    if (!objects)
        return;
    plugin->unit.made = NULL;
    object_image_free(&objects->image);
    release_sources(objects);
}

void objects_free(e64_plugin *plugin)
{
    struct objects *objects = plugin->objects;
    if (!objects)
        return;
    jit_remove(plugin);
    objects_settle(plugin);
    elf_symbols_free(&objects->statics);
    memory_free((void *)objects->statics.symtab.data);
    memory_free(objects);
    plugin->objects = NULL;
}
