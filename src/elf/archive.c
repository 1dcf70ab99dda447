// Reads an archive's members. Each has a header of text, 60 bytes, and is at an
// even offset; the tables of ar itself come first: "/" or "/SYM64/" is the
// index, "//" has the names that are longer than fifteen bytes.

#include "archive.h"

#include <limits.h>
#include <stdio.h>

#include "../error.h"
#include "../memory.h"
#include "header.h"
#include "index.h"

// All fields are text, filled up with spaces.
struct ar_header {
    char name[16], date[12], user[6], group[6], mode[8], size[10], end[2];
};

enum { MAGIC = 8 };

// What an archive's file holds, in file order.
struct entry {
    struct ar_header header;
    uint64_t offset; // of the header
    uint64_t size;
    struct view bytes;
    bool table; // of ar: the index or the names
};

bool elf_is_archive(struct view file)
{
    return view_has(file, 0, MAGIC)
        && (memcmp(file.data, "!<arch>\n", MAGIC) == 0
            || memcmp(file.data, "!<thin>\n", MAGIC) == 0);
}

// A decimal number, and spaces. False when that is not what stands there.
static bool read_number(const char *text, size_t width, uint64_t *number)
{
    size_t i = 0;
    *number = 0;
    for (; i < width && text[i] >= '0' && text[i] <= '9'; i++)
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    bool digits = i > 0;
    while (i < width && text[i] == ' ')
        i++;
    return digits && i == width;
}

// Is that the name, alone in the field?
static bool is_named(const struct ar_header *header, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = length; i < sizeof header->name; i++) {
        if (header->name[i] != ' ')
            return false;
    }
    return memcmp(header->name, name, length) == 0;
}

static bool is_index(const struct ar_header *header)
{
    return is_named(header, "/") || is_named(header, "/SYM64/");
}

// BSD's ar, and macOS's, put long names in front of the members' bytes.
static bool is_other_format(const struct ar_header *header)
{
    return memcmp(header->name, "#1/", 3) == 0
        || memcmp(header->name, "__.SYMDEF", 9) == 0;
}

// Reads the entry at *offset and moves on behind it.
static e64_status read_entry(const struct elf_archive *archive,
                             const char *name, uint64_t *offset,
                             struct entry *entry)
{
    const char *wrong = NULL;
    uint64_t size = 0;
    uint64_t at = *offset + sizeof entry->header;
    if (!view_read(archive->file, *offset, &entry->header,
                   sizeof entry->header))
        wrong = "its header is cut short";
    else if (memcmp(entry->header.end, "`\n", 2) != 0)
        wrong = "its header does not end as one does (ar_fmag)";
    else if (!read_number(entry->header.size, sizeof entry->header.size, &size))
        wrong = "its size (ar_size) is no number";
    else if (is_other_format(&entry->header))
        return elf_refuse(E64_UNSUPPORTED, name, "is an archive in the format "
                          "of BSD's ar (member at offset %llu); make it with "
                          "GNU ar or llvm-ar --format=gnu",
                          (unsigned long long)*offset);
    if (!wrong) {
        entry->table = is_index(&entry->header)
                    || is_named(&entry->header, "//");
        // A thin archive holds only what is ar's own.
        bool held = entry->table || !archive->thin;
        if (!view_part(archive->file, at, held ? size : 0, &entry->bytes))
            wrong = "its size (ar_size) reaches beyond the file";
        entry->offset = *offset;
        entry->size = size;
        at += held ? size + (size & 1) : 0;
    }
    if (wrong)
        return elf_refuse(E64_BADFORMAT, name, "the archive's member at offset "
                          "%llu: %s", (unsigned long long)*offset, wrong);
    *offset = at;
    return E64_OK;
}

// The table of long names, with NULs in place of the ends "/\n", and one more.
static e64_status copy_names(struct elf_archive *archive, struct view table,
                             uint64_t *size)
{
    archive->names = memory_resize(NULL, table.size + 1);
    if (!archive->names)
        return fail_memory(table.size + 1);
    memcpy(archive->names, table.data, table.size);
    archive->names[table.size] = '\0';
    for (uint64_t i = 0; i < table.size; i++) {
        if (archive->names[i] != '\n')
            continue;
        archive->names[i] = '\0';
        if (i > 0 && archive->names[i - 1] == '/')
            archive->names[i - 1] = '\0';
    }
    *size = table.size;
    return E64_OK;
}

// What is found before the members are named.
struct tables {
    struct entry index;
    bool wide; // /SYM64/
    uint64_t names_size;
    uint64_t text;  // bytes that members' names may still have
    uint32_t count; // of members
};

// The first walk: finds ar's own tables, and counts the members.
static e64_status find_tables(struct elf_archive *archive, const char *name,
                              struct tables *tables)
{
    struct entry entry;
    uint64_t at = MAGIC;
    while (at < archive->file.size) {
        e64_status status = read_entry(archive, name, &at, &entry);
        if (status != E64_OK)
            return status;
        if (!entry.table) {
            tables->count++;
        } else if (is_named(&entry.header, "//")) {
            if (archive->names)
                return elf_refuse(E64_BADFORMAT, name, "the archive has two "
                                  "tables of long names (//)");
            status = copy_names(archive, entry.bytes, &tables->names_size);
            if (status != E64_OK)
                return status;
        } else {
            if (archive->indexed || tables->count)
                return elf_refuse(E64_BADFORMAT, name, "the archive's index at "
                                  "offset %llu is not its only one and first",
                                  (unsigned long long)entry.offset);
            archive->indexed = true;
            tables->index = entry;
            tables->wide = is_named(&entry.header, "/SYM64/");
        }
    }
    return E64_OK;
}

// A path that ar writes: it goes up first, if at all, and then down to a file.
static const char *check_path(const char *path)
{
    bool down = false;
    if (*path == '/')
        return "is an absolute path; make the archive anew with relative ones, "
               "or one that is not thin";
    for (;;) {
        size_t length = strcspn(path, "/");
        bool up = length == 2 && memcmp(path, "..", 2) == 0;
        if (up && down)
            return "goes up (..) after it went down";
        down = down || !up;
        if (path[length] == '\0')
            return length && !up && strcmp(path, ".") != 0
                 ? NULL : "names no file";
        path += length + 1;
    }
}

static e64_status bad_name(const char *name, const struct entry *entry,
                           const char *what)
{
    return elf_refuse(E64_BADFORMAT, name, "the archive's member at offset "
                      "%llu: %s", (unsigned long long)entry->offset, what);
}

// "/123" is a place in the table of long names; "a.o/" is a name, which without
// its end is as long as the field.
static e64_status read_name(const struct elf_archive *archive, const char *name,
                            struct tables *tables, const struct entry *entry,
                            struct elf_member *member)
{
    const char *field = entry->header.name;
    size_t width = sizeof entry->header.name;
    uint64_t at;
    if (field[0] == '/') {
        if (memchr(field, ':', width))
            return elf_refuse(E64_UNSUPPORTED, name, "the thin archive's "
                              "member at offset %llu is one of another "
                              "archive; name that archive too, instead",
                              (unsigned long long)entry->offset);
        if (!read_number(field + 1, width - 1, &at))
            return bad_name(name, entry, "its name (ar_name) is neither a name "
                            "nor a place in the table of names");
        if (at >= tables->names_size)
            return bad_name(name, entry, "its name (ar_name) lies outside the "
                            "table of names");
        member->name = archive->names + at;
    } else {
        const char *end = memchr(field, '/', width);
        size_t length = end ? (size_t)(end - field) : width;
        while (!end && length && field[length - 1] == ' ')
            length--;
        memcpy(member->brief, field, length);
        member->brief[length] = '\0';
        member->name = member->brief;
    }
    if (*member->name == '\0')
        return bad_name(name, entry, "its name (ar_name) is empty");
    size_t length = strnlen(member->name, PATH_MAX);
    if (length == PATH_MAX)
        return bad_name(name, entry, "its name (ar_name) is longer than a path "
                        "may be");
    // Members may share a name, or its end. As many as there can be, with one
    // as long as it can be, would cost more than they are worth.
    if (length >= tables->text)
        return bad_name(name, entry, "names (ar_name) lie on one another, and "
                        "all together have more than eight times the file's "
                        "bytes");
    tables->text -= length;
    const char *wrong = archive->thin ? check_path(member->name) : NULL;
    if (wrong)
        return elf_refuse(E64_BADFORMAT, name, "the thin archive's member '%s' "
                          "%s", member->name, wrong);
    return E64_OK;
}

// The second walk: the members themselves.
static e64_status read_members(struct elf_archive *archive, const char *name,
                               struct tables *tables)
{
    struct entry entry;
    uint64_t at = MAGIC;
    if (tables->count == 0)
        return E64_OK;
    archive->members = memory_array(tables->count, sizeof *archive->members);
    if (!archive->members)
        return fail_memory(tables->count * sizeof *archive->members);
    while (at < archive->file.size) {
        e64_status status = read_entry(archive, name, &at, &entry);
        if (status != E64_OK)
            return status;
        if (entry.table)
            continue;
        struct elf_member *member = &archive->members[archive->member_count++];
        member->bytes = entry.bytes;
        member->size = entry.size;
        member->offset = entry.offset;
        status = read_name(archive, name, tables, &entry, member);
        if (status != E64_OK)
            return status;
    }
    return E64_OK;
}

e64_status elf_archive_read(struct view file, const char *name,
                            struct elf_archive *archive)
{
    struct tables tables = { .text = 8 * file.size + (1 << 16) };
    *archive = (struct elf_archive){ .file = file };
    if (!elf_is_archive(file))
        return elf_refuse(E64_BADFORMAT, name, "is no archive: it does not "
                          "begin with !<arch> or !<thin>");
    archive->thin = file.data[2] == 't';
    e64_status status = find_tables(archive, name, &tables);
    if (status == E64_OK)
        status = read_members(archive, name, &tables);
    if (status == E64_OK && archive->indexed)
        status = index_read(archive, name, tables.index.bytes, tables.wide);
    if (status != E64_OK)
        elf_archive_free(archive);
    return status;
}

static char *joined(const char *format, int length, const char *first,
                    const char *second)
{
    size_t size = (size_t)length + strlen(second) + 3;
    char *text = memory_resize(NULL, size);
    if (text)
        snprintf(text, size, format, length, first, second);
    return text;
}

char *elf_archive_label(const struct elf_archive *archive, const char *name,
                        uint32_t member)
{
    return joined("%.*s(%s)", (int)strlen(name), name,
                  archive->members[member].name);
}

char *elf_archive_path(const struct elf_archive *archive, const char *path,
                       uint32_t member)
{
    const char *slash = strrchr(path, '/');
    return joined("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path,
                  archive->members[member].name);
}

void elf_archive_free(struct elf_archive *archive)
{
    memory_free(archive->members);
    memory_free(archive->names);
    memory_free(archive->definers);
    *archive = (struct elf_archive){ 0 };
}
