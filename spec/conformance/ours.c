// The side of the loader under test, through its public C API; see ours.h.

#include "ours.h"

#include <elf64load.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static e64_runtime *runtime;

static e64_plugin *open_plugin(const char *path, bool lazy)
{
    const e64_open_options options = { .struct_size = sizeof options,
                                       .lazy = lazy };
    e64_plugin *plugin;
    if ((!runtime && e64_runtime_new(NULL, &runtime, NULL) != E64_OK)
        || e64_open(runtime, path, &options, &plugin, NULL) != E64_OK)
        errx(4, "%s: %s", e64_status_name(e64_last_error()->status),
             e64_last_error()->message);
    return plugin;
}

void ours_open(const char *path, bool lazy)
{
    open_plugin(path, lazy);
}

// What the loader's entry for first calls goes on to.
extern void *lazy_bind(e64_plugin *plugin, uint64_t number);

static uint64_t dynamic_value(const Elf64_Dyn *entry, int64_t tag)
{
    for (; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

static int bind_calls(void *data, e64_plugin *plugin)
{
    e64_plugin_info info;
    const Elf64_Dyn *dynamic = NULL;
    struct elf elf;

    (void)data;
    e64_plugin_describe(plugin, &info);
    if (info.state == E64_STATE_HOST || info.state == E64_STATE_STOPPED)
        return 0;
    elf_read(&elf, info.path);
    for (size_t i = 0; i < elf.segment_count; i++)
        if (elf.segments[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(info.base + elf.segments[i].p_vaddr);
    elf_free(&elf);
    uint64_t slots = dynamic ? dynamic_value(dynamic, DT_PLTGOT) : 0;
    uint64_t count = slots ? dynamic_value(dynamic, DT_PLTRELSZ)
                             / sizeof(Elf64_Rela) : 0;
    // One that was bound at once has nothing for its PLT.
    if (count && ((void **)(info.base + slots))[1] != plugin)
        count = 0;
    for (uint64_t i = 0; i < count; i++) {
        const Elf64_Rela *relocation = (const Elf64_Rela *)
            (info.base + dynamic_value(dynamic, DT_JMPREL)) + i;
        if (ELF64_R_TYPE(relocation->r_info) == R_X86_64_JUMP_SLOT)
            lazy_bind(plugin, i);
    }
    return 0;
}

void ours_bind_calls(void)
{
    e64_plugins(runtime, bind_calls, NULL);
}

static const struct region *region_at(const struct process *process,
                                      uintptr_t address)
{
    for (size_t i = 0; i < process->region_count; i++)
        if (address >= process->regions[i].start
            && address < process->regions[i].end)
            return &process->regions[i];
    return NULL;
}

// The kernel must show at least one page of the file where the loader says that
// the file is, and where it shows one, that must be the right one.
static void check_place(const struct process *process,
                        const struct object *object, FILE *out)
{
    uintptr_t page = sysconf(_SC_PAGESIZE);
    struct elf elf;
    int shown = 0;

    elf_read(&elf, object->path);
    for (size_t i = 0; i < elf.segment_count; i++) {
        const Elf64_Phdr *segment = &elf.segments[i];
        if (segment->p_type != PT_LOAD || segment->p_filesz == 0)
            continue;
        uintptr_t address = object->base + segment->p_vaddr;
        const struct region *region = region_at(process, address);
        if (!region || strcmp(region->path, object->path) != 0)
            continue;
        uint64_t offset = address - region->start + region->offset;
        if ((offset & -page) != (segment->p_offset & -page))
            fprintf(out, "wrong\t%s has offset 0x%lx of the file where segment "
                    "%zu should be\n", object->path, offset, i);
        shown++;
    }
    if (!shown)
        fprintf(out, "wrong\t%s is not mapped at 0x%lx, where the loader says "
                "it is\n", object->path, object->base);
    elf_free(&elf);
}

static uint64_t tls_size(const char *path)
{
    struct elf elf;
    uint64_t size = 0;
    elf_read(&elf, path);
    for (size_t i = 0; i < elf.segment_count; i++)
        if (elf.segments[i].p_type == PT_TLS)
            size = elf.segments[i].p_memsz;
    elf_free(&elf);
    return size;
}

static int add_plugin(void *data, e64_plugin *plugin)
{
    struct process *process = data;
    e64_plugin_info info;

    e64_plugin_describe(plugin, &info);
    if (info.state != E64_STATE_HOST && info.state != E64_STATE_STOPPED)
        process_add(process, (struct object){
            .path = canonical(info.path),
            .base = info.base,
            .start = info.start,
            .end = info.end,
            .tls_module = info.tls_module,
            .tls_size = info.tls_module ? tls_size(info.path) : 0,
            .mapper = MAPPER_US,
        });
    return 0;
}

// What the loader answers when it is asked about an address must fit what it
// says of the plugin.
static void check_whence(const struct object *object, FILE *out)
{
    e64_error *error = calloc(1, sizeof *error);
    e64_place place;

    if (e64_whence((void *)object->start, &place, error) != E64_OK)
        fprintf(out, "wrong\t%s: nothing is said to be at its start, 0x%lx\n",
                object->path, object->start);
    else if (!place.plugin || place.base != object->base)
        fprintf(out, "wrong\t%s: its start, 0x%lx, is said to belong to %s at "
                "0x%lx\n", object->path, object->start, place.file, place.base);
    free(error);
}

void ours_find(struct process *process, FILE *out)
{
    size_t host = process->count;

    e64_plugins(runtime, add_plugin, process);
    for (size_t i = host; i < process->count; i++) {
        check_place(process, &process->objects[i], out);
        check_whence(&process->objects[i], out);
    }
    for (size_t i = 0; i < process->region_count; i++) {
        const struct region *region = &process->regions[i];
        if (region->path[0] == '/' && region->executable
            && !process_find(process, region->start))
            fprintf(out, "wrong\t%s is mapped at 0x%lx, and nobody lists it\n",
                    region->path, region->start);
    }
}

void *(*ours_tls_address(const char *path))(uint64_t, uint64_t)
{
    union {
        void *address;
        void *(*function)(uint64_t, uint64_t);
    } reader = { e64_address(open_plugin(path, false), "tls_address") };
    if (!reader.address)
        errx(4, "%s", e64_last_error()->message);
    return reader.function;
}
