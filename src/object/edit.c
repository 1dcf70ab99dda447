// The whole of a link: reads, resolves, lays out, writes.

#include <stdarg.h>
#include <stdio.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

void *edit_new(struct edit *edit, size_t size)
{
    return arena_new(&edit->memory, size);
}

char *edit_text(struct edit *edit, const char *first, const char *second)
{
    char *text = edit_new(edit, strlen(first) + strlen(second) + 1);
    return text ? strcat(strcpy(text, first), second) : NULL;
}

e64_status edit_bad(const struct unit *unit, uint32_t section,
                    e64_status status, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *name = section ? unit->read.sections[section].name : "";
    fail(status, "%s: %s%s%s%s", unit->name, section ? "section " : "", name,
         section ? ": " : "", text);
    error_path(unit->name);
    return status;
}

static void release(struct edit *edit)
{
    for (uint32_t i = 0; i < edit->unit_count; i++) {
        elf_relocatable_free(&edit->units[i]->read);
        memory_free(edit->units[i]->name);
    }
    arena_free(&edit->memory);
    memory_free(edit->units);
    memory_free(edit->opened);
    memory_free(edit->buckets);
    memory_free(edit->wanted);
    memory_free(edit->groups);
    memory_free(edit->names);
    memory_free(edit->slots);
    memory_free(edit->calls);
    memory_free(edit->imports);
}

// What lies where, for those who look at the image later.
static e64_status describe(struct edit *edit)
{
    struct object_image *image = edit->image;
    image->parts = memory_array(edit->unit_count, sizeof *image->parts);
    if (!image->parts)
        return fail_memory(edit->unit_count * sizeof *image->parts);
    for (uint32_t i = 0; i < edit->unit_count; i++) {
        struct unit *unit = edit->units[i];
        if (unit->ours)
            continue;
        struct object_part *part = &image->parts[image->part_count];
        uint32_t count = unit->read.section_count;
        part->sections = memory_array(count, sizeof *part->sections);
        if (!part->sections)
            return fail_memory(count * sizeof *part->sections);
        image->part_count++;
        part->name = unit->name;
        part->file = unit->read.file;
        part->section_count = count;
        unit->name = NULL;
        for (uint32_t j = 0; j < count; j++)
            part->sections[j] = piece_is_loaded(&unit->pieces[j])
                              ? unit->pieces[j].vaddr : OBJECT_NOWHERE;
    }
    return E64_OK;
}

static e64_status write_image(struct edit *edit)
{
    struct elf_file *file = &edit->image->file;
    e64_status status = elf_file_new(edit->name, edit->file_size, file,
                                     &edit->bytes);
    if (status == E64_OK) {
        edit_write_headers(edit);
        status = edit_relocate(edit);
    }
    if (status == E64_OK) {
        edit_write_got(edit);
        edit_write_properties(edit);
        edit_write_dynamics(edit);
        edit_write_statics(edit);
        status = edit_write_frame_index(edit);
    }
    if (status == E64_OK)
        status = elf_file_seal(file);
    return status;
}

e64_status object_link(const struct object_input *inputs, uint32_t count,
                       const char *name, struct object_image *image)
{
    struct edit edit = { .name = name, .inputs = inputs, .input_count = count,
                         .image = image };
    *image = (struct object_image){ .file = { .fd = -1 } };
    edit_choose_hash(&edit);
    e64_status status = edit_read_inputs(&edit);
    if (status == E64_OK)
        status = edit_supply(&edit);
    if (status == E64_OK)
        status = edit_scan(&edit);
    if (status == E64_OK)
        status = edit_count_dynamics(&edit);
    if (status == E64_OK)
        status = edit_lay_out(&edit);
    if (status == E64_OK)
        status = write_image(&edit);
    if (status == E64_OK)
        status = describe(&edit);
    release(&edit);
    if (status != E64_OK) {
        elf_file_close(&image->file);
        object_image_free(image);
    }
    return status;
}

bool object_find(const struct object_image *image, uint64_t vaddr,
                 struct object_where *where)
{
    for (uint32_t i = 0; i < image->part_count; i++) {
        const struct object_part *part = &image->parts[i];
        struct elf_relocatable read;
        if (elf_relocatable_read(part->file, part->name, &read) != E64_OK)
            continue;
        for (uint32_t j = 1; j < part->section_count; j++) {
            const struct elf_section *section = &read.sections[j];
            uint64_t start = part->sections[j];
            if (start == OBJECT_NOWHERE || section->flags & SHF_TLS
                || vaddr < start || vaddr - start >= section->size)
                continue;
            *where = (struct object_where){ part, section->name, j,
                                            vaddr - start };
            elf_relocatable_free(&read);
            return true;
        }
        elf_relocatable_free(&read);
    }
    return false;
}

void object_image_free(struct object_image *image)
{
    for (uint32_t i = 0; i < image->part_count; i++) {
        memory_free(image->parts[i].name);
        memory_free(image->parts[i].sections);
    }
    memory_free(image->parts);
    memory_free(image->fars);
    for (uint32_t i = 0; i < image->opened_count; i++)
        elf_file_close(&image->opened[i]);
    memory_free(image->opened);
    *image = (struct object_image){ .file = { .fd = -1 } };
}
