// Which member of an archive defines a name: by the index that ar wrote, or by
// looking into the members.

#include "index.h"

#include <stdlib.h>

#include "../error.h"
#include "../memory.h"
#include "header.h"
#include "relocatable.h"
#include "symbols.h"

static uint64_t big_endian(const uint8_t *at, unsigned width)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value = value << 8 | at[i];
    return value;
}

// By hash and name, so that no names, however chosen, make it slow.
static int order(uint32_t hash, const char *symbol,
                 const struct elf_definer *other)
{
    if (hash != other->hash)
        return hash < other->hash ? -1 : 1;
    return strcmp(symbol, other->symbol);
}

// Of a name that several members define the first one comes first.
static int by_name(const void *a, const void *b)
{
    const struct elf_definer *one = a, *other = b;
    int between = order(one->hash, one->symbol, other);
    return between ? between
         : one->member < other->member ? -1 : one->member > other->member;
}

static void sort(struct elf_archive *archive)
{
    if (archive->definer_count)
        qsort(archive->definers, archive->definer_count,
              sizeof *archive->definers, by_name);
}

uint32_t elf_archive_find(const struct elf_archive *archive, const char *symbol,
                          uint32_t hash)
{
    uint32_t low = 0, high = archive->definer_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (order(hash, symbol, &archive->definers[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < archive->definer_count
        && order(hash, symbol, &archive->definers[low]) == 0
         ? archive->definers[low].member : ELF_NO_MEMBER;
}

// The member whose header is at that offset; they ascend.
static uint32_t member_at(const struct elf_archive *archive, uint64_t offset)
{
    uint32_t low = 0, high = archive->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (archive->members[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < archive->member_count
        && archive->members[low].offset == offset ? low : ELF_NO_MEMBER;
}

e64_status index_read(struct elf_archive *archive, const char *name,
                      struct view table, bool wide)
{
    unsigned width = wide ? 8 : 4;
    if (table.size < width)
        return elf_refuse(E64_BADFORMAT, name, "the archive's index is cut "
                          "short before its number of names");
    uint64_t count = big_endian(table.data, width);
    // Each name has its offset and at least a NUL.
    if (count > (table.size - width) / (width + 1) || count > INT32_MAX)
        return elf_refuse(E64_BADFORMAT, name, "the archive's index says that "
                          "it has %llu names, for which it is too small",
                          (unsigned long long)count);
    archive->definers = memory_array(count + 1, sizeof *archive->definers);
    if (!archive->definers)
        return fail_memory((count + 1) * sizeof *archive->definers);
    uint64_t text = width + count * width;
    for (uint32_t i = 0; i < count; i++) {
        const char *symbol = view_string(table, text);
        uint64_t offset = big_endian(table.data + width + i * (uint64_t)width,
                                     width);
        if (!symbol)
            return elf_refuse(E64_BADFORMAT, name, "the archive's index ends "
                              "within name %u of %llu", i,
                              (unsigned long long)count);
        uint32_t member = member_at(archive, offset);
        if (member == ELF_NO_MEMBER)
            return elf_refuse(E64_BADFORMAT, name, "the archive's index has "
                              "'%s' in a member at offset %llu, where none is",
                              symbol, (unsigned long long)offset);
        archive->definers[archive->definer_count++] = (struct elf_definer){
            symbol, elf_gnu_hash(symbol), member };
        text += strlen(symbol) + 1;
    }
    sort(archive);
    return E64_OK;
}

// Does it define the name, or a common one, for others?
static bool defines(const struct elf_symbol *symbol)
{
    return symbol->binding != STB_LOCAL && symbol->section != ELF_IN_NONE
        && *symbol->name;
}

static e64_status enter(struct elf_archive *archive, uint32_t member,
                        const struct elf_relocatable *object, uint32_t *room)
{
    for (uint32_t i = object->local_count; i < object->symbol_count; i++) {
        struct elf_symbol symbol = elf_relocatable_symbol(object, i);
        if (!defines(&symbol))
            continue;
        e64_status status = memory_grow(&archive->definers,
                                        archive->definer_count, room,
                                        sizeof *archive->definers);
        if (status != E64_OK)
            return status;
        archive->definers[archive->definer_count++] = (struct elf_definer){
            symbol.name, elf_gnu_hash(symbol.name), member };
    }
    return E64_OK;
}

static e64_status collect_member(struct elf_archive *archive, const char *name,
                                 uint32_t member, struct view bytes,
                                 uint32_t *room)
{
    struct elf_relocatable object;
    if (!elf_is_relocatable(bytes) && !(view_has(bytes, 0, SELFMAG)
            && memcmp(bytes.data, ELFMAG, SELFMAG) == 0))
        return E64_OK;
    char *label = elf_archive_label(archive, name, member);
    if (!label)
        return fail_memory(strlen(name));
    e64_status status = elf_relocatable_read(bytes, label, &object);
    if (status == E64_OK) {
        status = enter(archive, member, &object, room);
        elf_relocatable_free(&object);
    }
    memory_free(label);
    return status;
}

e64_status elf_archive_collect(struct elf_archive *archive, const char *name,
                               e64_status (*bytes_of)(void *data,
                                                      uint32_t member,
                                                      struct view *bytes),
                               void *data)
{
    uint32_t room = 0;
    memory_free(archive->definers);
    archive->definers = NULL;
    archive->definer_count = 0;
    for (uint32_t i = 0; i < archive->member_count; i++) {
        struct view bytes = archive->members[i].bytes;
        e64_status status = bytes_of ? bytes_of(data, i, &bytes) : E64_OK;
        if (status == E64_OK)
            status = collect_member(archive, name, i, bytes, &room);
        if (status != E64_OK)
            return status;
    }
    sort(archive);
    return E64_OK;
}

e64_status elf_archive_confirm(const struct elf_archive *archive,
                               const char *name, uint32_t member,
                               const struct elf_relocatable *object,
                               const char *symbol)
{
    for (uint32_t i = object->local_count; i < object->symbol_count; i++) {
        struct elf_symbol own = elf_relocatable_symbol(object, i);
        if (defines(&own) && strcmp(own.name, symbol) == 0)
            return E64_OK;
    }
    return elf_refuse(E64_BADFORMAT, name, "the archive's index says that its "
                      "member %s defines '%s', which it does not; ranlib "
                      "writes it anew", archive->members[member].name, symbol);
}
