// Finds names in ld.so.cache. Takes bytes only: reading the file, and again
// once it has changed, is the business of others.

#include "cache.h"

#include <stddef.h>

struct old_header {
    char magic[11]; // "ld.so-1.7.0"
    uint32_t count;
};

struct old_entry {
    int32_t flags;
    uint32_t name, path; // offsets into the strings
};

struct new_header {
    char magic[20]; // "glibc-ld.so.cache1.1"
    uint32_t count;
    uint32_t string_size;
    uint8_t flags; // the two lowest bits: 0 unknown, 2 little endian
    uint8_t unused[3];
    uint32_t extensions; // where in the file they are listed; 0: there are none
    uint32_t unused_too[3];
};

struct new_entry {
    struct old_entry old;
    uint32_t unused;
    uint64_t hwcap;
};

// An extension's entry in the list, which follows a magic number and a count.
struct extension {
    uint32_t tag;
    uint32_t flags;
    uint32_t offset; // in the file
    uint32_t size;
};

static const char OLD_MAGIC[] = "ld.so-1.7.0";
static const char NEW_MAGIC[] = "glibc-ld.so.cache1.1";

static const uint32_t EXTENSION_MAGIC = 0xeaa42174;

enum {
    TAG_HWCAPS = 1,
    LITTLE = 2, // of the header's flags
    // Of the upper half of an entry's hwcap: the lower half is a number of the
    // names in TAG_HWCAPS, the bits of the mask are an ISA level.
    NAMED = 1 << 30,
    LEVEL_MASK = 0x3ff,
    // Longer ones are nobody's. They keep what is not trusted from costing a
    // walk through the whole file for each of its entries.
    MOST_DIGITS = 32,
    MOST_PATH = 4096,
};

struct table {
    struct view entries;
    struct view strings;
    struct view hwcaps; // offsets in `file` of the names of hwcaps folders
    struct view file;
    uint32_t count;
    uint32_t entry_size;
};

static struct view read_hwcaps(struct view file, uint32_t list)
{
    struct view none = { file.data, 0 };
    struct view found = none;
    uint32_t head[2];
    if (list == 0 || list % 4 != 0 || !view_read(file, list, head, sizeof head)
        || head[0] != EXTENSION_MAGIC)
        return none;
    for (uint32_t i = 0; i < head[1]; i++) {
        struct extension extension;
        uint64_t at = (uint64_t)list + sizeof head
                    + (uint64_t)i * sizeof extension;
        struct view part;
        // ld.so uses no extension at all when one of them reaches too far.
        if (!view_read(file, at, &extension, sizeof extension)
            || !view_part(file, extension.offset, extension.size, &part))
            return none;
        if (extension.tag == TAG_HWCAPS)
            found = part;
    }
    bool sound = found.size % 4 == 0 && (found.data - file.data) % 4 == 0;
    return sound ? found : none;
}

static bool read_new(struct view file, uint64_t offset, struct table *table)
{
    struct new_header header;
    struct view rest;
    if (offset > file.size
        || !view_read(file, offset, &header, sizeof header)
        || memcmp(header.magic, NEW_MAGIC, sizeof header.magic) != 0
        || (header.flags != 0 && (header.flags & 3) != LITTLE))
        return false;
    rest = (struct view){ file.data + offset, file.size - offset };
    uint64_t size = (uint64_t)header.count * sizeof(struct new_entry);
    if (!view_part(rest, sizeof header, size, &table->entries))
        return false;
    table->file = file;
    table->strings = rest;
    table->count = header.count;
    table->entry_size = sizeof(struct new_entry);
    table->hwcaps = read_hwcaps(file, header.extensions);
    return true;
}

static bool read_old(struct view file, struct table *table)
{
    struct old_header header;
    if (!view_read(file, 0, &header, sizeof header)
        || memcmp(header.magic, OLD_MAGIC, sizeof header.magic) != 0)
        return false;
    uint64_t size = (uint64_t)header.count * sizeof(struct old_entry);
    if (!view_part(file, sizeof header, size, &table->entries))
        return false;
    // The newer format may stand where the strings of the older one begin.
    uint64_t end = sizeof header + size;
    struct new_header inner;
    uint64_t aligned = (end + 7) & ~(uint64_t)7;
    if (view_read(file, aligned, &inner, sizeof inner)
        && memcmp(inner.magic, NEW_MAGIC, sizeof inner.magic) == 0)
        return read_new(file, aligned, table);
    table->file = file;
    table->strings = (struct view){ file.data + end, file.size - end };
    table->count = header.count;
    table->entry_size = sizeof(struct old_entry);
    table->hwcaps = (struct view){ file.data, 0 };
    return true;
}

static bool read_table(struct view file, struct table *table)
{
    return read_new(file, 0, table) || read_old(file, table);
}

static struct new_entry entry_at(const struct table *table, uint32_t index)
{
    struct new_entry entry = { 0 };
    memcpy(&entry, table->entries.data + (uint64_t)index * table->entry_size,
           table->entry_size);
    return entry;
}

static const char *string_at(const struct table *table, uint32_t offset)
{
    if (offset >= table->strings.size)
        return NULL;
    uint64_t size = table->strings.size - offset;
    const uint8_t *start = table->strings.data + offset;
    bool ends = memchr(start, 0, size < MOST_PATH ? size : MOST_PATH);
    return ends ? (const char *)start : NULL;
}

static bool digit(char character)
{
    return character >= '0' && character <= '9';
}

// Reads a number of at most MOST_DIGITS and moves past it. Larger numbers wrap
// as ldconfig's do when it sorts.
static bool number(const char **at, const char *end, uint32_t *value)
{
    const char *start = *at;
    *value = 0;
    while (*at < end && digit(**at)) {
        if (*at - start == MOST_DIGITS)
            return false;
        *value = *value * 10 + (uint32_t)(*(*at)++ - '0');
    }
    return true;
}

// The order that the table is sorted by, descending: numbers by their value,
// and after everything that is no number. Returns false when the string does
// not end where it may, else *order as strcmp's answer.
static bool compare(const char *name, struct view strings, uint32_t offset,
                    int32_t *order)
{
    if (offset >= strings.size)
        return false;
    const char *at = (const char *)strings.data + offset;
    const char *end = (const char *)strings.data + strings.size;
    const char *name_end = name + strlen(name);
    while (name < name_end) {
        if (at == end)
            return false;
        if (digit(*name) != digit(*at)) {
            *order = digit(*name) ? 1 : -1;
            return true;
        }
        if (digit(*name)) {
            uint32_t left, right;
            if (!number(&name, name_end, &left) || !number(&at, end, &right))
                return false;
            *order = (int32_t)(left - right);
            if (*order != 0)
                return true;
        } else if (*name != *at) {
            *order = *name - *at;
            return true;
        } else {
            name++;
            at++;
        }
    }
    if (at == end)
        return false;
    *order = -*at;
    return true;
}

static bool same(const struct table *table, uint32_t index, const char *name)
{
    int32_t order;
    return compare(name, table->strings, entry_at(table, index).old.name,
                   &order) && order == 0;
}

// The first entry of that name, or `count` when there is none.
static uint32_t first_of(const struct table *table, const char *name)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int32_t order;
        if (!compare(name, table->strings, entry_at(table, middle).old.name,
                     &order))
            break;
        if (order == 0) {
            while (middle > 0 && same(table, middle - 1, name))
                middle--;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return table->count;
}

// Which of the machine's folders an entry stands for: 1 is the best, 0 none.
static uint32_t rank(const struct table *table, uint32_t index,
                     const struct elf_cache_machine *machine)
{
    uint32_t offset;
    if (!view_read(table->hwcaps, (uint64_t)index * 4, &offset, sizeof offset)
        || offset >= table->file.size)
        return 0;
    struct view rest = { table->file.data + offset, table->file.size - offset };
    for (uint32_t i = 0; i < machine->name_count; i++) {
        const char *folder = machine->names[i];
        size_t size = strlen(folder) + 1;
        if (rest.size >= size && memcmp(rest.data, folder, size) == 0)
            return i + 1;
    }
    return 0;
}

static bool level_suits(uint64_t hwcap, const struct elf_cache_machine *machine)
{
    uint32_t level = hwcap >> 32 & LEVEL_MASK;
    return level < 32 && (machine->levels >> level & 1);
}

// Entries without a name in their hwcap: its bits say what they need.
static bool bits_suit(uint64_t hwcap, const struct elf_cache_machine *machine)
{
    const uint64_t tls = (uint64_t)1 << 63; // every system has had it for long
    if (!(hwcap & ~tls))
        return true;
    struct elf_cache_bits here = machine->bits();
    uint64_t platform = hwcap & here.platforms;
    return (hwcap & ~(here.hwcap | here.platforms | tls)) == 0
        && (platform == 0 || platform == here.platform);
}

const char *elf_cache_find(struct view cache,
                           const struct elf_cache_machine *machine,
                           const char *name)
{
    struct table table;
    if (!read_table(cache, &table))
        return NULL;
    const char *best = NULL;
    uint32_t best_rank = 0;
    for (uint32_t i = first_of(&table, name);
         i < table.count && same(&table, i, name); i++) {
        struct new_entry entry = entry_at(&table, i);
        if (entry.old.flags != machine->flags)
            continue;
        // Entries that name a folder stand before those that do not.
        if ((entry.hwcap >> 32 & ~(uint64_t)LEVEL_MASK) == NAMED) {
            uint32_t place = rank(&table, (uint32_t)entry.hwcap, machine);
            if (place == 0 || (best && place >= best_rank)
                || !level_suits(entry.hwcap, machine))
                continue;
            const char *path = string_at(&table, entry.old.path);
            if (path) {
                best = path;
                best_rank = place;
            }
        } else {
            if (best)
                break;
            if (!bits_suit(entry.hwcap, machine))
                continue;
            best = string_at(&table, entry.old.path);
            if (best)
                break;
        }
    }
    return best;
}

void elf_cache_each(struct view cache, const struct elf_cache_machine *machine,
                    bool (*visit)(void *data, const char *name,
                                  const char *path),
                    void *data)
{
    struct table table;
    if (!read_table(cache, &table))
        return;
    for (uint32_t i = 0; i < table.count; i++) {
        struct new_entry entry = entry_at(&table, i);
        if (entry.old.flags != machine->flags)
            continue;
        const char *name = string_at(&table, entry.old.name);
        const char *path = string_at(&table, entry.old.path);
        if (name && path && !visit(data, name, path))
            return;
    }
}
