// An object file, from bytes that nobody can trust: it is read and all that was
// read is looked at; then it is linked, alone, and the image that comes of it
// is read.

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "elf/image.h"
#include "elf/relocatable.h"
#include "error.h"
#include "object/object.h"
#include "target.h"

static uint64_t sum; // of all that was seen, so that it has to be looked at

static void look_at_sections(const struct elf_relocatable *object)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        bytes += section->bytes.size;
        sum += strlen(section->name);
        for (uint64_t k = 0; k < section->bytes.size; k += 16)
            sum += section->bytes.data[k];
        target_check(section->align && !(section->align
                                         & (section->align - 1)));
        target_check(section->group <= object->group_count);
        for (uint32_t k = 0; k < elf_rela_count(section); k++) {
            Elf64_Rela rela = elf_rela(section, k);
            // What is compressed is relocated once it is unpacked.
            target_check(rela.r_offset <= section->size
                         || section->flags & SHF_COMPRESSED);
            target_check(!ELF64_R_SYM(rela.r_info)
                         || ELF64_R_SYM(rela.r_info) < object->symbol_count);
            target_check(section->type != SHT_NOBITS);
        }
    }
    target_check(bytes <= object->file.size);
}

static void look_at_symbols(const struct elf_relocatable *object)
{
    for (uint32_t i = 0; i < object->symbol_count; i++) {
        struct elf_symbol symbol = elf_relocatable_symbol(object, i);
        sum += strlen(symbol.name) + symbol.value;
        target_check(symbol.section < object->section_count
                     || symbol.section == ELF_IN_ABS
                     || symbol.section == ELF_IN_COMMON);
        target_check((symbol.binding == STB_LOCAL)
                     == (i < object->local_count));
    }
    for (uint32_t i = 0; i < object->group_count; i++) {
        const struct elf_group *group = &object->groups[i];
        sum += strlen(group->signature);
        for (uint32_t k = 0; k < group->count; k++) {
            uint32_t member = elf_group_member(group, k);
            target_check(member && member < object->section_count);
            target_check(object->sections[member].group == i + 1);
        }
    }
}

// An object with gigabytes of zeros, or aligned to them, is none of its faults.
static bool is_small(const struct elf_relocatable *object)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < object->section_count; i++)
        size += object->sections[i].size + object->sections[i].align;
    for (uint32_t i = 0; i < object->symbol_count; i++) {
        struct elf_symbol symbol = elf_relocatable_symbol(object, i);
        if (symbol.section == ELF_IN_COMMON)
            size += symbol.size + symbol.value;
    }
    return size < 1 << 24;
}

static void link_alone(struct view bytes)
{
    struct elf_file file = { .name = (char *)"fuzz.o", .view = bytes,
                             .fd = -1 };
    struct object_input input = { .file = &file };
    struct object_image linked = { .file = { .fd = -1 } };
    struct elf_image image;
    if (object_link(&input, 1, "fuzz.o", &linked) != E64_OK) {
        target_check(error_pending()->message[0] != '\0');
        return;
    }
    if (elf_image_read(linked.file.view, "fuzz.o", &image) == E64_OK)
        elf_image_free(&image);
    else
        target_check(error_pending()->message[0] != '\0');
    elf_file_close(&linked.file);
    object_image_free(&linked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_relocatable object;
    // A copy of just that size, so that a sanitizer sees what lies behind it.
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    struct view file = { copy, size };
    sum += elf_is_relocatable(file);
    if (elf_relocatable_read(file, "fuzz", &object) == E64_OK) {
        look_at_sections(&object);
        look_at_symbols(&object);
        bool small = is_small(&object);
        elf_relocatable_free(&object);
        if (small)
            link_alone(file);
    } else {
        target_check(error_pending()->message != NULL);
    }
    target_use(sum);
    free(copy);
    return 0;
}
