// The side of a plan, through the public C API; see planned.h.

#include "planned.h"

#include <elf64load.h>
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"

struct file {
    const e64_plan_object *object;
    char *path; // canonical
};

struct planned {
    struct file *files;
    size_t file_count;
    const e64_plan_binding **bindings; // sorted
    size_t binding_count;
};

static int by_import(const void *left, const void *right)
{
    const e64_plan_binding *a = *(const e64_plan_binding *const *)left;
    const e64_plan_binding *b = *(const e64_plan_binding *const *)right;
    if (a->wanter != b->wanter)
        return (uintptr_t)a->wanter < (uintptr_t)b->wanter ? -1 : 1;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->jump - b->jump;
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct file *)left)->path,
                  ((const struct file *)right)->path);
}

static int add_file(void *data, const e64_plan_object *object)
{
    struct planned *planned = data;
    if (object->state == E64_PLAN_ABSENT)
        errx(4, "%s: %s", object->name, object->message);
    planned->files = realloc(planned->files, (planned->file_count + 1)
                                             * sizeof *planned->files);
    planned->files[planned->file_count++]
        = (struct file){ object, canonical(object->path) };
    return 0;
}

static int add_binding(void *data, const e64_plan_binding *binding)
{
    struct planned *planned = data;
    planned->bindings[planned->binding_count++] = binding;
    return 0;
}

static const e64_plan_binding *find(const struct planned *planned,
                                    const e64_plan_object *wanter,
                                    uint32_t index, bool jump)
{
    const e64_plan_binding key = { .wanter = wanter, .index = index,
                                   .jump = jump };
    const e64_plan_binding *at = &key, **found;
    found = bsearch(&at, planned->bindings, planned->binding_count,
                    sizeof *planned->bindings, by_import);
    return found ? *found : NULL;
}

static const char *path_of(const struct planned *planned,
                           const e64_plan_object *wanter,
                           const e64_plan_object *object)
{
    if (object == wanter)
        return "=";
    for (size_t i = 0; i < planned->file_count; i++)
        if (planned->files[i].object == object)
            return planned->files[i].path;
    return "?";
}

struct line {
    FILE *out;
    const struct relocation *relocation;
};

static void begin(const struct line *line, char flag)
{
    fprintf(line->out, "%c\t%lx\t%s\t%s\t", flag, line->relocation->offset,
            relocation_name(line->relocation->type),
            line->relocation->symbol);
}

static void say_number(const struct line *line, uint64_t number)
{
    begin(line, '.');
    fprintf(line->out, "number %lx", number);
}

// Thread-local storage: the module, the offset, or both.
static void say_thread(const struct line *line, const char *path,
                       uint64_t offset)
{
    switch (line->relocation->type) {
    case R_X86_64_DTPMOD64:
        begin(line, '.');
        fprintf(line->out, "threads %s", path);
        break;
    case R_X86_64_DTPOFF64:
        say_number(line, offset);
        break;
    default:
        begin(line, '.');
        fprintf(line->out, "threads %s+%lx", path, offset);
    }
}

static bool is_thread(uint32_t type)
{
    return type == R_X86_64_DTPMOD64 || type == R_X86_64_DTPOFF64
        || type == R_X86_64_TPOFF64 || type == R_X86_64_TLSDESC;
}

// What S + A will be; a slot of the PLT or GOT has no addend.
static void say_binding(const struct line *line, const struct planned *planned,
                        const e64_plan_binding *binding)
{
    uint32_t type = line->relocation->type;
    bool bare = type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
    uint64_t addend = bare ? 0 : (uint64_t)line->relocation->addend;
    if (!binding->provider) {
        // A weak one of thread-local storage leaves the slot as it is.
        say_number(line, is_thread(type) ? 0 : addend);
        return;
    }
    const char *path = path_of(planned, binding->wanter, binding->provider);
    uint64_t offset = binding->offset + addend;
    if (is_thread(type)) {
        say_thread(line, path, offset);
    } else if (binding->absolute) {
        say_number(line, offset);
    } else if (binding->kind == E64_KIND_IFUNC) {
        begin(line, '*');
        fputs(path, line->out);
    } else {
        begin(line, binding->loader ? '=' : '.');
        fprintf(line->out, "%s+%lx", path, offset);
    }
}

static void report_slot(FILE *out, const struct planned *planned,
                        const e64_plan_object *wanter,
                        const struct relocation *relocation, bool alter)
{
    struct line line = { out, relocation };
    uint32_t type = relocation->type;
    if (!relocation->index) {
        begin(&line, '-');
    } else if (type == R_X86_64_SIZE32 || type == R_X86_64_SIZE64) {
        begin(&line, '!');
        fputs("the size of a symbol", out);
    } else {
        const e64_plan_binding *binding = find(
            planned, wanter, relocation->index,
            is_thread(type) || type == R_X86_64_JUMP_SLOT);
        if (binding && strcmp(binding->symbol, relocation->symbol) == 0) {
            say_binding(&line, planned, binding);
            fputs(alter ? "1" : "", out);
        } else {
            begin(&line, '!');
            fputs("an import without a binding", out);
        }
    }
    fputc('\n', out);
}

void planned_report(FILE *out, const char *library, int alone, long alter)
{
    static const char *const mappers[] = {
        [E64_PLAN_NEW] = "ours",
        [E64_PLAN_HOST] = "start",
        [E64_PLAN_FAMILY] = "glibc",
    };
    struct planned planned = { 0 };
    struct e64_plan *plan;
    e64_runtime *runtime;
    e64_plan_info info;

    if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK
        || e64_plan(runtime, library, NULL, &plan, NULL) != E64_OK)
        errx(4, "%s: %s", e64_status_name(e64_last_error()->status),
             e64_last_error()->message);
    e64_plan_describe(plan, &info);
    if (info.message)
        errx(4, "%s: %s", e64_status_name(info.status), info.message);
    e64_plan_objects(plan, add_file, &planned);
    planned.bindings = calloc(info.bindings + 1, sizeof *planned.bindings);
    e64_plan_bindings(plan, add_binding, &planned);
    qsort(planned.bindings, planned.binding_count, sizeof *planned.bindings,
          by_import);
    qsort(planned.files, planned.file_count, sizeof *planned.files, by_path);
    char *own = canonical(library);
    for (size_t i = 0; i < planned.file_count; i++)
        fprintf(out, "object\t%s\t%s\n",
                mappers[planned.files[i].object->state],
                planned.files[i].path);
    for (size_t i = 0; i < planned.file_count; i++) {
        const struct file *file = &planned.files[i];
        if (file->object->state != E64_PLAN_NEW
            || (alone && strcmp(file->path, own) != 0))
            continue;
        struct elf elf;
        elf_read(&elf, file->path);
        fprintf(out, "file\t%s\t%zu\n", file->path, elf.count);
        for (size_t n = 0; n < elf.count; n++)
            report_slot(out, &planned, file->object, &elf.relocations[n],
                        strcmp(file->path, own) == 0 && (long)n == alter);
        elf_free(&elf);
    }
}
