// Shows what the readers of object files and archives make of a file:
//
//     objects object FILE     sections, symbols, groups, relocations
//     objects archive FILE    members and who defines what
//     objects collect FILE    the same without the archive's own index
//     objects find FILE NAME...     which member defines each name
//     objects confirm FILE MEMBER NAME   does the member define it?
//
// A failure is one line, "failed: KIND: message". What is left behind, and more
// memory than the file is worth, is a line of its own.

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "counting.h"
#include "elf/archive.h"
#include "elf/file.h"
#include "elf/relocatable.h"
#include "elf/symbols.h"
#include "error.h"
#include "memory.h"

static int failed(void)
{
    const e64_error *error = error_pending();
    printf("failed: %s: %s\n", e64_status_name(error->status), error->message);
    return 0;
}

static const char *place_of(const struct elf_relocatable *object,
                            uint32_t section, char *room)
{
    if (section == ELF_IN_NONE)
        return "UND";
    if (section == ELF_IN_ABS)
        return "ABS";
    if (section == ELF_IN_COMMON)
        return "COM";
    snprintf(room, 16, "%u", section);
    return section < object->section_count ? room : "nowhere";
}

static void show_symbols(const struct elf_relocatable *object)
{
    for (uint32_t i = 0; i < object->symbol_count; i++) {
        char room[16];
        struct elf_symbol symbol = elf_relocatable_symbol(object, i);
        const char *name = symbol.type == STT_SECTION
                         && symbol.section < object->section_count
                         ? object->sections[symbol.section].name : symbol.name;
        printf("symbol %u %llx %llu %u %u %u %s %s\n", i,
               (unsigned long long)symbol.value,
               (unsigned long long)symbol.size, symbol.type, symbol.binding,
               symbol.visibility, place_of(object, symbol.section, room), name);
    }
}

static void show(const struct elf_relocatable *object)
{
    for (uint32_t i = 0; i < object->section_count; i++) {
        const struct elf_section *section = &object->sections[i];
        if (section->type == SHT_NULL)
            continue;
        if (section->bytes.size
            != (section->type == SHT_NOBITS ? 0 : section->size))
            printf("section %u has other bytes than its size\n", i);
        printf("section %u %llx %llx %llu %u %u %s\n", i,
               (unsigned long long)section->size,
               (unsigned long long)section->entsize,
               (unsigned long long)section->align, section->link,
               section->info, section->name);
        for (uint32_t k = 0; k < elf_rela_count(section); k++) {
            Elf64_Rela rela = elf_rela(section, k);
            printf("relocation %u %llx %llx\n", i,
                   (unsigned long long)rela.r_offset,
                   (unsigned long long)rela.r_info);
        }
    }
    show_symbols(object);
    for (uint32_t i = 0; i < object->group_count; i++) {
        const struct elf_group *group = &object->groups[i];
        printf("group %u %s %s", group->section,
               group->comdat ? "COMDAT" : "any", group->signature);
        for (uint32_t k = 0; k < group->count; k++) {
            uint32_t member = elf_group_member(group, k);
            printf(" %u%s", member, object->sections[member].group == i + 1
                   ? "" : "?");
        }
        printf("\n");
    }
}

static int read_object(const struct elf_file *file)
{
    struct elf_relocatable object;
    if (elf_relocatable_read(file->view, file->name, &object) != E64_OK)
        return failed();
    show(&object);
    printf("%s\n", elf_is_relocatable(file->view) ? "is one" : "is none");
    elf_relocatable_free(&object);
    return 0;
}

// The files of a thin archive's members.
struct members {
    const struct elf_archive *archive;
    const char *path;
    struct elf_file *files;
};

static e64_status open_member(void *data, uint32_t member, struct view *bytes)
{
    struct members *members = data;
    char *path = elf_archive_path(members->archive, members->path, member);
    e64_status status = elf_file_open_path(path, &members->files[member]);
    memory_free(path);
    *bytes = members->files[member].view;
    return status;
}

static void show_archive(const struct elf_archive *archive, const char *name)
{
    printf("%s, %s\n", archive->thin ? "thin" : "whole",
           archive->indexed ? "indexed" : "not indexed");
    for (uint32_t i = 0; i < archive->member_count; i++) {
        const struct elf_member *member = &archive->members[i];
        char *label = elf_archive_label(archive, name, i);
        char *path = elf_archive_path(archive, name, i);
        printf("member %s %llu %llu\n", member->name,
               (unsigned long long)member->size,
               (unsigned long long)member->bytes.size);
        printf("label %s\npath %s\n", label, path);
        memory_free(label);
        memory_free(path);
    }
    for (uint32_t i = 0; i < archive->definer_count; i++)
        printf("%s in %s\n", archive->definers[i].symbol,
               archive->members[archive->definers[i].member].name);
}

static void find(const struct elf_archive *archive, char **names)
{
    for (; *names; names++) {
        uint32_t member = elf_archive_find(archive, *names,
                                           elf_gnu_hash(*names));
        printf("%s: %s\n", *names, member == ELF_NO_MEMBER ? "nobody"
               : archive->members[member].name);
    }
}

static void confirm(const struct elf_archive *archive, const char *name,
                    char **words)
{
    uint32_t member = (uint32_t)atoi(words[0]);
    struct elf_relocatable object;
    if (elf_relocatable_read(archive->members[member].bytes, name, &object)
        != E64_OK
        || elf_archive_confirm(archive, name, member, &object, words[1])
           != E64_OK)
        failed();
    else
        printf("confirmed\n");
    elf_relocatable_free(&object);
}

static int read_archive(const struct elf_file *file, const char *what,
                        char **words)
{
    struct elf_archive archive;
    e64_status status = elf_archive_read(file->view, file->name, &archive);
    if (status != E64_OK)
        return failed();
    struct members members = { &archive, file->name, NULL };
    size_t size = archive.member_count + 1;
    members.files = memory_array(size, sizeof *members.files);
    for (size_t i = 0; i < size; i++)
        members.files[i].fd = -1;
    if (strcmp(what, "collect") == 0 || !archive.indexed)
        status = elf_archive_collect(&archive, file->name,
                                     archive.thin ? open_member : NULL,
                                     &members);
    if (status != E64_OK)
        failed();
    else if (strcmp(what, "find") == 0)
        find(&archive, words);
    else if (strcmp(what, "confirm") == 0)
        confirm(&archive, file->name, words);
    else
        show_archive(&archive, file->name);
    elf_archive_free(&archive);
    for (size_t i = 0; i < size; i++)
        elf_file_close(&members.files[i]);
    memory_free(members.files);
    return 0;
}

int main(int argc, char **argv)
{
    e64_allocator allocator = { sizeof allocator, count, NULL };
    struct elf_file file;
    e64_set_allocator(&allocator, NULL);
    if (argc < 3)
        return 2;
    if (elf_file_open_path(argv[2], &file) != E64_OK)
        return failed();
    long before = live;
    asked = 0;
    int code = strcmp(argv[1], "object") == 0
             ? read_object(&file) : read_archive(&file, argv[1], argv + 3);
    if (live != before)
        printf("left behind: %ld blocks\n", live - before);
    if (asked > 8 * file.view.size + 8192)
        printf("too much: %zu bytes for a file of %llu\n", asked,
               (unsigned long long)file.view.size);
    elf_file_close(&file);
    return code;
}
