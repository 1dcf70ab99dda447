// The reader of archives, from bytes that nobody can trust: all members, all
// that the index says, and what the members say themselves.

#include <stdint.h>
#include <stdlib.h>

#include "elf/archive.h"
#include "elf/relocatable.h"
#include "elf/symbols.h"
#include "error.h"
#include "memory.h"
#include "target.h"

static uint64_t sum; // of all that was seen, so that it has to be looked at

// The file of a thin archive's member: the archive itself has bytes enough.
static e64_status bytes_of(void *data, uint32_t member, struct view *bytes)
{
    const struct elf_archive *archive = data;
    (void)member;
    view_part(archive->file, 8, archive->file.size - 8, bytes);
    return E64_OK;
}

static void look_at_members(const struct elf_archive *archive)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < archive->member_count; i++) {
        const struct elf_member *member = &archive->members[i];
        char *label = elf_archive_label(archive, "fuzz.a", i);
        char *path = elf_archive_path(archive, "lib/fuzz.a", i);
        target_check(*member->name && strlen(member->name) < 4096);
        target_check(label && strlen(label) == strlen(member->name) + 8);
        target_check(path && strlen(path) == strlen(member->name) + 4);
        target_check(!archive->thin || *member->name != '/');
        memory_free(label);
        memory_free(path);
        for (uint64_t k = 0; k < member->bytes.size; k += 16)
            sum += member->bytes.data[k];
        bytes += member->bytes.size;
    }
    target_check(bytes <= archive->file.size);
}

static void confirm(const struct elf_archive *archive, uint32_t member,
                    const char *symbol, bool certain)
{
    struct elf_relocatable object;
    if (elf_relocatable_read(archive->members[member].bytes, "fuzz", &object)
        != E64_OK)
        return;
    e64_status status = elf_archive_confirm(archive, "fuzz", member, &object,
                                            symbol);
    target_check(status == E64_OK || !certain);
    elf_relocatable_free(&object);
}

// What it says that it has it must find, too. `certain`: it looked itself.
static void look_at_names(const struct elf_archive *archive, bool certain)
{
    for (uint32_t i = 0; i < archive->definer_count; i++) {
        const struct elf_definer *definer = &archive->definers[i];
        uint32_t member = elf_archive_find(archive, definer->symbol,
                                           elf_gnu_hash(definer->symbol));
        target_check(member <= definer->member);
        target_check(definer->member < archive->member_count);
        if (i < 8 && !archive->thin)
            confirm(archive, member, definer->symbol, certain);
    }
    sum += elf_archive_find(archive, "f", elf_gnu_hash("f"))
         + elf_archive_find(archive, "", elf_gnu_hash(""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_archive archive;
    // A copy of just that size, so that a sanitizer sees what lies behind it.
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    struct view file = { copy, size };
    if (elf_archive_read(file, "fuzz", &archive) == E64_OK) {
        target_check(elf_is_archive(file));
        look_at_members(&archive);
        look_at_names(&archive, false);
        if (elf_archive_collect(&archive, "fuzz",
                                archive.thin ? bytes_of : NULL, &archive)
            == E64_OK)
            look_at_names(&archive, true);
        elf_archive_free(&archive);
    } else {
        target_check(error_pending()->message != NULL);
    }
    target_use(sum);
    free(copy);
    return 0;
}
