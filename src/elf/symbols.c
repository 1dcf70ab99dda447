// Looks names up in one object.

#include "spans.h"

#include <stddef.h>

#include "../memory.h"

// What eight characters add to a hash: a sum of each times a power of 33, taken
// in pairs, then in fours, in the parts of one word, which do not overflow.
static uint32_t hash_eight(uint64_t word)
{
    const uint64_t bytes = 0x00ff00ff00ff00ff, halves = 0x0000ffff0000ffff;
    word = (word & bytes) * 33 + (word >> 8 & bytes);
    word = (word & halves) * (33 * 33) + (word >> 16 & halves);
    return (uint32_t)word * (33 * 33 * 33 * 33) + (uint32_t)(word >> 32);
}

uint32_t elf_gnu_hash(const char *name)
{
    enum { ONE = 33, TWO = ONE * ONE, FOUR = TWO * TWO };
    static const uint32_t powers[9] = { // of 33
        1, ONE, TWO, TWO * ONE, FOUR, (uint32_t)FOUR * ONE,
        (uint32_t)FOUR * TWO, (uint32_t)FOUR * TWO * ONE, (uint32_t)FOUR * FOUR,
    };
    const char *end = name + strlen(name);
    uint32_t hash = 5381;
    if (end - name < 8) {
        for (; name < end; name++)
            hash = hash * ONE + (unsigned char)*name;
        return hash;
    }
    for (; end - name >= 8; name += 8)
        hash = hash * powers[8] + hash_eight(load64((const uint8_t *)name));
    // The rest is the end of the last eight, whose others count as zeros.
    if (name < end)
        hash = hash * powers[end - name]
             + hash_eight(load64((const uint8_t *)end - 8)
                          & ~(uint64_t)0 << 8 * (8 - (end - name)));
    return hash;
}

// gABI, "Hash Table".
uint32_t elf_sysv_hash(const char *name)
{
    uint32_t hash = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        hash = (hash << 4) + *c;
        uint32_t high = hash & 0xf0000000;
        hash ^= high >> 24;
        hash &= ~high;
    }
    return hash;
}

struct elf_name elf_name(const char *text)
{
    return (struct elf_name){ .text = text, .gnu_hash = elf_gnu_hash(text) };
}

struct elf_name elf_name_version(const char *text, const char *version)
{
    struct elf_name name = elf_name(text);
    name.version = version;
    name.version_hash = elf_sysv_hash(version);
    name.version_hidden = true;
    return name;
}

const struct elf_version *elf_symbol_version(const struct elf_symbols *symbols,
                                             uint32_t index)
{
    if (!view_has(symbols->versym, (uint64_t)index * 2, 2))
        return NULL;
    uint32_t version = load16(symbols->versym.data + (uint64_t)index * 2)
                     & 0x7fff;
    if (version >= symbols->version_count
        || symbols->versions[version].hash == 0)
        return NULL;
    return &symbols->versions[version];
}

struct elf_name elf_symbol_name(const struct elf_symbols *symbols,
                                uint32_t index, const Elf64_Sym *symbol)
{
    struct elf_name name = elf_name(elf_string(symbols, symbol->st_name));
    const struct elf_version *version = elf_symbol_version(symbols, index);
    name.newest = symbols->of_objects;
    if (version) {
        name.version = elf_string(symbols, version->name);
        name.version_hash = version->hash;
        name.version_hidden = version->hidden;
    }
    return name;
}

enum match { MATCH_NO, MATCH_YES, MATCH_DEFAULT };

// ld.so's rules for versions. MATCH_DEFAULT: a version that an unversioned
// reference may get if the object has no other of that name.
static inline enum match match_version(const struct elf_symbols *symbols,
                                       uint32_t index,
                                       const struct elf_name *name,
                                       enum elf_want want)
{
    if (!view_has(symbols->versym, (uint64_t)index * 2, 2))
        return MATCH_YES; // an object without versions defines all of them
    uint16_t raw = load16(symbols->versym.data + (uint64_t)index * 2);
    uint32_t number = raw & 0x7fff;
    bool hidden = raw & 0x8000;
    if (!name->version) {
        // Indexes 0 and 1 are local and global; 2 is the first version, which
        // is the oldest, and so what an unversioned reference was linked to.
        bool newest = want & ELF_WANT_NEWEST || name->newest;
        if (number < (newest ? 2 : 3))
            return MATCH_YES;
        return hidden ? MATCH_NO : MATCH_DEFAULT;
    }
    uint32_t hash = 0;
    const char *text = "";
    if (number < symbols->version_count) {
        hash = symbols->versions[number].hash;
        text = elf_string(symbols, symbols->versions[number].name);
    }
    if (hash == name->version_hash && strcmp(text, name->version) == 0)
        return MATCH_YES;
    // A symbol of no version, or of the base version, stands in unless the
    // reference or the definition is hidden.
    return name->version_hidden || hash || hidden ? MATCH_NO : MATCH_YES;
}

static inline bool is_candidate(const struct elf_symbols *symbols,
                                const Elf64_Sym *symbol,
                                const struct elf_name *name,
                                enum elf_want want)
{
    if (!elf_is_definition(symbol)
        || (symbol->st_shndx == SHN_UNDEF
            && (want & ELF_WANT_DEFINED
                || ELF64_ST_TYPE(symbol->st_info) == STT_TLS)))
        return false;
    return strcmp(elf_string(symbols, symbol->st_name), name->text) == 0;
}

struct search {
    const struct elf_symbols *symbols;
    const struct elf_name *name;
    enum elf_want want;
    uint32_t fallback; // the only default version seen
    uint32_t defaults; // how many were seen
};

static bool accepts(struct search *search, uint32_t index, Elf64_Sym *symbol)
{
    if (index == 0 || !elf_symbol(search->symbols, index, symbol)
        || !is_candidate(search->symbols, symbol, search->name, search->want))
        return false;
    switch (match_version(search->symbols, index, search->name, search->want)) {
    case MATCH_YES:
        return true;
    case MATCH_DEFAULT:
        if (search->defaults++ == 0)
            search->fallback = index;
        return false;
    case MATCH_NO:
        break;
    }
    return false;
}

// A chain ends at the first odd hash value, at the latest with its table.
uint32_t elf_chain_find(const struct elf_symbols *symbols, uint32_t index,
                        uint32_t hash)
{
    uint64_t at = 4 * (uint64_t)(index - symbols->gnu_offset);
    for (; view_has(symbols->gnu_chain, at, 4); index++, at += 4) {
        uint32_t entry = load32(symbols->gnu_chain.data + at);
        if ((entry ^ hash) >> 1 == 0)
            return index;
        if (entry & 1)
            break;
    }
    return 0;
}

static bool ends_chain(const struct elf_symbols *symbols, uint32_t index)
{
    return load32(symbols->gnu_chain.data
                  + 4 * (uint64_t)(index - symbols->gnu_offset)) & 1;
}

static uint32_t find_gnu(struct search *search, uint32_t index,
                         Elf64_Sym *symbol)
{
    const struct elf_symbols *symbols = search->symbols;
    while (index) {
        if (accepts(search, index, symbol))
            return index;
        index = ends_chain(symbols, index) ? 0
              : elf_chain_find(symbols, index + 1, search->name->gnu_hash);
    }
    return 0;
}

static uint32_t first_gnu(const struct elf_symbols *symbols, uint32_t hash)
{
    if (!elf_may_define(symbols, hash))
        return 0;
    uint32_t index = load32(symbols->gnu_bucket.data
                            + 4 * (uint64_t)(hash % symbols->gnu_buckets));
    return index < symbols->gnu_offset ? 0
         : elf_chain_find(symbols, index, hash);
}

bool elf_has_hash(const struct elf_symbols *symbols, uint32_t hash)
{
    return !symbols->gnu_buckets ? symbols->sysv_buckets != 0
         : first_gnu(symbols, hash & ~1u) || first_gnu(symbols, hash | 1);
}

enum { FAR_BACK = 64 };

bool elf_own_hash(const struct elf_symbols *symbols, uint32_t index,
                  uint32_t *hash)
{
    if (!symbols->gnu_buckets || index < symbols->gnu_offset)
        return false;
    uint64_t at = 4 * (uint64_t)(index - symbols->gnu_offset);
    if (!view_has(symbols->gnu_chain, at, 4))
        return false;
    const uint8_t *own = symbols->gnu_chain.data + at;
    *hash = load32(own);
    // Its chain begins after the end of another one, not far before it: in a
    // file that is made to cost time a lookup has to tell.
    const uint8_t *start = symbols->gnu_chain.data;
    const uint8_t *far = at > 4 * FAR_BACK ? own - 4 * FAR_BACK : start;
    for (; own > far; own -= 4) {
        uint32_t before = load32(own - 4);
        if (before & 1)
            return true;
        if ((before ^ *hash) >> 1 == 0)
            return false;
    }
    return own == start;
}

// A chain that runs in a circle ends after as many steps as there are links.
static uint32_t find_sysv(struct search *search, Elf64_Sym *symbol)
{
    const struct elf_symbols *symbols = search->symbols;
    uint64_t links = symbols->sysv_chain.size / 4;
    uint32_t bucket = elf_sysv_hash(search->name->text)
                    % symbols->sysv_buckets;
    uint32_t index = load32(symbols->sysv_bucket.data + 4 * (uint64_t)bucket);
    for (uint64_t step = 0; index != STN_UNDEF && step < links; step++) {
        if (index >= links)
            return 0;
        if (accepts(search, index, symbol))
            return index;
        index = load32(symbols->sysv_chain.data + 4 * (uint64_t)index);
    }
    return 0;
}

static uint32_t finish(const struct search *search, uint32_t index,
                       Elf64_Sym *symbol)
{
    if (index == 0 && search->defaults == 1) {
        index = search->fallback;
        elf_symbol(search->symbols, index, symbol);
    }
    return index && elf_exported(symbol) ? index : 0;
}

// Nearly always it is the first one.
uint32_t elf_find_from(const struct elf_symbols *symbols,
                       const struct elf_name *name, enum elf_want want,
                       uint32_t first, Elf64_Sym *symbol)
{
    if (elf_symbol(symbols, first, symbol)
        && is_candidate(symbols, symbol, name, want)
        && match_version(symbols, first, name, want) == MATCH_YES)
        return elf_exported(symbol) ? first : 0;
    struct search search = { symbols, name, want, 0, 0 };
    return finish(&search, find_gnu(&search, first, symbol), symbol);
}

uint32_t elf_find(const struct elf_symbols *symbols,
                  const struct elf_name *name, enum elf_want want,
                  Elf64_Sym *symbol)
{
    struct search search = { symbols, name, want, 0, 0 };
    if (symbols->gnu_buckets) {
        uint32_t first = first_gnu(symbols, name->gnu_hash);
        return first ? elf_find_from(symbols, name, want, first, symbol) : 0;
    }
    return symbols->sysv_buckets
         ? finish(&search, find_sysv(&search, symbol), symbol) : 0;
}

// How many symbols the hash table reaches; the table itself does not say.
static uint32_t reach(const struct elf_symbols *symbols)
{
    if (symbols->sysv_buckets)
        return (uint32_t)(symbols->sysv_chain.size / 4);
    uint32_t last = 0;
    for (uint32_t i = 0; i < symbols->gnu_buckets; i++) {
        uint32_t index = load32(symbols->gnu_bucket.data + 4 * (uint64_t)i);
        if (index > last)
            last = index;
    }
    if (last < symbols->gnu_offset || last == 0)
        return 0;
    for (;; last++) {
        uint64_t at = 4 * (uint64_t)(last - symbols->gnu_offset);
        if (!view_has(symbols->gnu_chain, at, 4))
            return last;
        if (load32(symbols->gnu_chain.data + at) & 1)
            return last + 1;
    }
}

struct view elf_hashes(const struct elf_symbols *symbols)
{
    uint32_t end = symbols->gnu_buckets ? reach(symbols) : 0;
    return (struct view){ symbols->gnu_chain.data,
                          end ? 4 * (uint64_t)(end - symbols->gnu_offset) : 0 };
}

int elf_symbols_each(const struct elf_symbols *symbols,
                     int (*visit)(void *data, uint32_t index,
                                  const Elf64_Sym *symbol), void *data)
{
    uint32_t end = reach(symbols);
    Elf64_Sym symbol;
    for (uint32_t i = 1; i < end && elf_symbol(symbols, i, &symbol); i++) {
        if (symbol.st_shndx == SHN_UNDEF || !elf_exported(&symbol))
            continue;
        int answer = visit(data, i, &symbol);
        if (answer)
            return answer;
    }
    return 0;
}

bool elf_defines_version(const struct elf_symbols *symbols, const char *version,
                         uint32_t hash)
{
    for (uint32_t i = 0; i < symbols->version_count; i++) {
        const struct elf_version *mine = &symbols->versions[i];
        if (mine->hash == hash && !mine->needed
            && strcmp(elf_string(symbols, mine->name), version) == 0)
            return true;
    }
    return symbols->base_name && symbols->base_hash == hash
        && strcmp(elf_string(symbols, symbols->base_name), version) == 0;
}

void elf_symbols_free(struct elf_symbols *symbols)
{
    elf_spans_free(symbols);
    memory_free(symbols->versions);
    symbols->versions = NULL;
    symbols->version_count = 0;
}
