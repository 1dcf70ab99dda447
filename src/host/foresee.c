// What the host would be once glibc has opened something: modules that are read
// from their files, for plans.

#include "host.h"

#include "../elf/file.h"
#include "../elf/image.h"
#include "../error.h"
#include "../memory.h"

struct host_file {
    struct elf_file file;
    struct elf_image image;
};

void host_foreseen_free(struct host_file *file)
{
    if (!file)
        return;
    elf_image_free(&file->image);
    elf_file_close(&file->file);
    memory_free(file);
}

e64_status host_snapshot_copy(const struct host_snapshot *snapshot,
                              struct host_snapshot **copy)
{
    struct host_snapshot *made = memory_new(sizeof *made);
    *copy = NULL;
    if (!made)
        return fail_memory(sizeof *made);
    atomic_init(&made->count, 1);
    made->adds = snapshot->adds;
    made->subs = snapshot->subs;
    made->modules = memory_array(snapshot->module_count,
                                 sizeof *made->modules);
    made->globals = memory_array(snapshot->global_count,
                                 sizeof *made->globals);
    if (!made->modules || !made->globals) {
        host_snapshot_release(made);
        return fail_memory(snapshot->module_count * sizeof *made->modules);
    }
    for (uint32_t i = 0; i < snapshot->module_count; i++) {
        atomic_fetch_add(&snapshot->modules[i]->count, 1);
        made->modules[i] = snapshot->modules[i];
    }
    made->module_count = snapshot->module_count;
    for (uint32_t i = 0; i < snapshot->global_count; i++)
        made->globals[i] = snapshot->globals[i];
    made->global_count = snapshot->global_count;
    *copy = made;
    return E64_OK;
}

static e64_status read_module(struct host_module *module)
{
    struct elf_file *file = &module->foreseen->file;
    struct elf_image *image = &module->foreseen->image;
    e64_status status = elf_image_read(file->view, file->name, image);
    if (status != E64_OK)
        return status;
    module->symbols = image->symbols;
    image->symbols.versions = NULL; // the module's from now on
    module->path = memory_copy(file->name);
    module->needed = memory_array(image->needed_count, sizeof *module->needed);
    if (!module->path || !module->needed)
        return fail_memory(image->needed_count * sizeof *module->needed);
    for (uint32_t i = 0; i < image->needed_count; i++)
        module->needed[module->needed_count++]
            = elf_string(&module->symbols, image->needed[i]);
    module->object = (struct elf_object){
        .name = module->path,
        .soname = image->soname
                ? elf_string(&module->symbols, image->soname) : NULL,
        .symbols = &module->symbols,
        // Any number that is none of ours: it has storage.
        .tls_module = image->has_tls,
        .host = true,
    };
    module->device = file->device;
    module->inode = file->inode;
    module->identified = file->identified ? 1 : -1;
    return E64_OK;
}

static e64_status add(struct host_snapshot *copy, struct host_module *module)
{
    uint32_t room = copy->module_count + 1;
    struct host_module **modules = memory_resize(copy->modules,
                                                 room * sizeof *modules);
    if (!modules)
        return fail_memory(room * sizeof *modules);
    copy->modules = modules;
    copy->modules[copy->module_count++] = module;
    return E64_OK;
}

e64_status host_foresee(struct host_snapshot *copy, struct elf_file *file,
                        struct host_module **module)
{
    struct host_module *made = memory_new(sizeof *made);
    struct host_file *foreseen = memory_new(sizeof *foreseen);
    if (!made || !foreseen) {
        memory_free(made);
        memory_free(foreseen);
        elf_file_close(file);
        return fail_memory(sizeof *made);
    }
    atomic_init(&made->count, 1);
    foreseen->file = *file;
    made->foreseen = foreseen;
    e64_status status = read_module(made);
    if (status == E64_OK)
        status = add(copy, made);
    if (status != E64_OK)
        host_module_release(made);
    *module = made;
    return status;
}

void host_unforesee(struct host_snapshot *copy, uint32_t module_count)
{
    while (copy->module_count > module_count)
        host_module_release(copy->modules[--copy->module_count]);
}

const struct elf_image *host_foreseen_image(const struct host_module *module)
{
    return &module->foreseen->image;
}

const struct elf_file *host_foreseen_file(const struct host_module *module)
{
    return &module->foreseen->file;
}
