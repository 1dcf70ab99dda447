// Reads hash and version tables, checking all that a lookup will rely on.

#include <stddef.h>

#include "../memory.h"
#include "symbols.h"

// The GNU hash table: buckets, symoffset, bloom words, shift; then the bloom
// filter, the buckets and the chains, which reach to the end of the view.
const char *elf_read_gnu_hash(struct elf_symbols *symbols, struct view table)
{
    if (!view_has(table, 0, 16))
        return "DT_GNU_HASH: its header lies outside";
    uint32_t buckets = load32(table.data);
    uint32_t words = load32(table.data + 8);
    symbols->gnu_offset = load32(table.data + 4);
    symbols->gnu_shift = load32(table.data + 12) & 63;
    if (buckets == 0)
        return NULL; // defines nothing
    if (words == 0 || (words & (words - 1)))
        return "DT_GNU_HASH: its count of bloom words is no power of two";
    uint64_t at = 16;
    if (!view_part(table, at, 8 * (uint64_t)words, &symbols->gnu_bloom))
        return "DT_GNU_HASH: its bloom filter lies outside";
    at += 8 * (uint64_t)words;
    if (!view_part(table, at, 4 * (uint64_t)buckets, &symbols->gnu_bucket))
        return "DT_GNU_HASH: its buckets lie outside";
    at += 4 * (uint64_t)buckets;
    view_part(table, at, table.size - at, &symbols->gnu_chain);
    symbols->gnu_mask = words - 1;
    symbols->gnu_buckets = buckets;
    return NULL;
}

// gABI, "Hash Table": nbucket, nchain, buckets, chains.
const char *elf_read_sysv_hash(struct elf_symbols *symbols, struct view table)
{
    if (!view_has(table, 0, 8))
        return "DT_HASH: its header lies outside";
    uint64_t buckets = load32(table.data);
    uint64_t chains = load32(table.data + 4);
    if (!view_part(table, 8, 4 * buckets, &symbols->sysv_bucket))
        return "DT_HASH: its buckets lie outside";
    if (!view_part(table, 8 + 4 * buckets, 4 * chains, &symbols->sysv_chain))
        return "DT_HASH: its chains lie outside";
    symbols->sysv_buckets = (uint32_t)buckets;
    return NULL;
}

const char elf_no_memory[] = "out of memory for its tables";

// Makes room for a version index and gives its place.
static struct elf_version *place(struct elf_symbols *symbols, uint32_t index)
{
    if (index >= symbols->version_count) {
        uint32_t count = index + 16;
        struct elf_version *versions = memory_resize(symbols->versions,
                                                     count * sizeof *versions);
        if (!versions)
            return NULL;
        memset(versions + symbols->version_count, 0,
               (count - symbols->version_count) * sizeof *versions);
        symbols->versions = versions;
        symbols->version_count = count;
    }
    return &symbols->versions[index];
}

static const char *enter(struct elf_symbols *symbols, uint32_t index,
                         struct elf_version version)
{
    if (version.name >= symbols->strtab.size
        || version.file >= symbols->strtab.size)
        return "a version's name lies outside the string table";
    struct elf_version *into = place(symbols, index & 0x7fff);
    if (!into)
        return elf_no_memory;
    *into = version;
    return NULL;
}

// Version indexes have 15 bits, so a table with more entries runs in circles
// of overlapping ones.
enum { MOST_ENTRIES = 0x8000 };

static const char *read_need(struct elf_symbols *symbols, struct view needs,
                             uint64_t at, uint32_t file, uint32_t *entries)
{
    for (;;) {
        Elf64_Vernaux aux;
        if (!view_read(needs, at, &aux, sizeof aux))
            return "DT_VERNEED: an entry (vn_aux, vna_next) lies outside";
        if (++*entries > MOST_ENTRIES)
            return "DT_VERNEED: more entries than there are version indexes";
        const char *wrong = enter(symbols, aux.vna_other, (struct elf_version){
            .hash = aux.vna_hash,
            .name = aux.vna_name,
            .file = file,
            .needed = true,
            .hidden = aux.vna_other & 0x8000,
            .weak = aux.vna_flags & VER_FLG_WEAK,
        });
        if (wrong || aux.vna_next == 0)
            return wrong;
        at += aux.vna_next;
    }
}

static const char *read_needs(struct elf_symbols *symbols, struct view needs)
{
    uint32_t entries = 0;
    uint64_t at = 0;
    for (;;) {
        Elf64_Verneed need;
        if (!view_read(needs, at, &need, sizeof need))
            return "DT_VERNEED: an entry (vn_next) lies outside";
        if (need.vn_version != VER_NEED_CURRENT)
            return "DT_VERNEED: vn_version is not 1";
        const char *wrong = read_need(symbols, needs, at + need.vn_aux,
                                      need.vn_file, &entries);
        if (wrong || need.vn_next == 0)
            return wrong;
        at += need.vn_next;
    }
}

static const char *read_definitions(struct elf_symbols *symbols,
                                    struct view definitions)
{
    uint64_t at = 0;
    for (uint32_t entries = 0; entries < MOST_ENTRIES; entries++) {
        Elf64_Verdef entry;
        Elf64_Verdaux aux;
        if (!view_read(definitions, at, &entry, sizeof entry))
            return "DT_VERDEF: an entry (vd_next) lies outside";
        if (entry.vd_version != VER_DEF_CURRENT)
            return "DT_VERDEF: vd_version is not 1";
        if (!view_read(definitions, at + entry.vd_aux, &aux, sizeof aux))
            return "DT_VERDEF: an entry (vd_aux) lies outside";
        const char *wrong = NULL;
        // A file may be needed in its base version, but symbols of that count
        // as unversioned.
        if (entry.vd_flags & VER_FLG_BASE) {
            symbols->base_name = aux.vda_name;
            symbols->base_hash = entry.vd_hash;
        } else {
            wrong = enter(symbols, entry.vd_ndx, (struct elf_version){
                .hash = entry.vd_hash,
                .name = aux.vda_name,
            });
        }
        if (wrong || entry.vd_next == 0)
            return wrong;
        at += entry.vd_next;
    }
    return "DT_VERDEF: more entries than there are version indexes";
}

const char *elf_read_versions(struct elf_symbols *symbols, struct view needs,
                              struct view definitions)
{
    const char *wrong = needs.size ? read_needs(symbols, needs) : NULL;
    if (!needs.size && !definitions.size)
        symbols->versym = (struct view){ 0 };
    if (!wrong && definitions.size) {
        symbols->defines_versions = true;
        wrong = read_definitions(symbols, definitions);
    }
    return wrong;
}
