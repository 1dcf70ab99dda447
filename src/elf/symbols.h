// The symbol-facing tables of one object: symbols, strings, hashes, versions.
// They serve files that are being read, plugins that are mapped, and what
// glibc has mapped alike.

#ifndef ELF_SYMBOLS_H
#define ELF_SYMBOLS_H

#include "../elf64load.h"
#include "view.h"

// What a version index of an object stands for. An index that the object does
// not define has hash 0.
struct elf_version {
    uint32_t hash;
    uint32_t name; // in strtab
    uint32_t file; // DT_VERNEED: who defines it, in strtab; else 0
    bool needed;   // from DT_VERNEED
    bool hidden;   // a needed version that no default may stand in for
    bool weak;     // VER_FLG_WEAK: its absence is no error
};

struct elf_spans;

struct elf_symbols {
    struct view symtab;
    struct view strtab; // its last byte is NUL, or it is empty
    struct view versym; // empty without DT_VERNEED and DT_VERDEF
    uint32_t count;     // how many entries symtab may hold at most

    // DT_GNU_HASH; gnu_buckets is 0 without.
    uint32_t gnu_buckets;
    uint32_t gnu_offset; // index of the first symbol that it covers
    uint32_t gnu_shift;
    uint32_t gnu_mask; // bloom words minus one
    struct view gnu_bloom;
    struct view gnu_bucket;
    struct view gnu_chain;

    // DT_HASH; sysv_buckets is 0 without.
    uint32_t sysv_buckets;
    struct view sysv_bucket;
    struct view sysv_chain;

    struct elf_version *versions; // memory_free
    uint32_t version_count;
    bool defines_versions; // has a DT_VERDEF
    // Its base version, which names the file, in strtab; or 0.
    uint32_t base_name, base_hash;
    // The link editor made it of objects: what it imports is of no version, and
    // ld would have given it the default one.
    bool of_objects;

    struct elf_spans *_Atomic spans; // spans.c
};

// A name to look up, hashed once for DT_GNU_HASH, which nearly all have.
struct elf_name {
    const char *text;
    uint32_t gnu_hash;
    const char *version; // NULL: any, by ld.so's rules
    uint32_t version_hash;
    bool version_hidden; // no default version may stand in for it
    bool newest;         // as ELF_WANT_NEWEST
};

enum elf_want {
    ELF_WANT_ANY = 0,
    // Not an undefined symbol with a value, which is how an executable gives
    // the address of a function that it calls through its PLT (psABI 4.4.1,
    // "Function Addresses"). For jumps and TLS.
    ELF_WANT_DEFINED = 1,
    // Of several versions the default one, as dlsym has it.
    ELF_WANT_NEWEST = 2,
};

uint32_t elf_gnu_hash(const char *name);
uint32_t elf_sysv_hash(const char *name);
struct elf_name elf_name(const char *text);

// A name of a wanted version, as dlvsym has it.
struct elf_name elf_name_version(const char *text, const char *version);

// The name by which an object's own symbol is looked up elsewhere.
struct elf_name elf_symbol_name(const struct elf_symbols *symbols,
                                uint32_t index, const Elf64_Sym *symbol);

static inline bool elf_symbol(const struct elf_symbols *symbols, uint32_t index,
                              Elf64_Sym *symbol)
{
    return view_read(symbols->symtab, (uint64_t)index * sizeof *symbol, symbol,
                     sizeof *symbol);
}

// The string at an offset of strtab; "" when it lies outside.
static inline const char *elf_string(const struct elf_symbols *symbols,
                                     uint32_t offset)
{
    if (offset >= symbols->strtab.size)
        return "";
    return (const char *)symbols->strtab.data + offset;
}

// The version of a symbol, or NULL when it has none.
const struct elf_version *elf_symbol_version(const struct elf_symbols *symbols,
                                             uint32_t index);

// The index of the definition of a name that others may bind to, or 0. The
// rules are ld.so's (gABI "Symbol Table", LSB "Symbol Versioning").
uint32_t elf_find(const struct elf_symbols *symbols,
                  const struct elf_name *name, enum elf_want want,
                  Elf64_Sym *symbol);

// The filter of DT_GNU_HASH: 0 for a hash that nothing in the table has.
static inline uint32_t elf_bloom_has(const uint8_t *bloom, uint32_t mask,
                                     uint32_t shift, uint32_t hash)
{
    uint64_t word = load64(bloom + 8 * (uint64_t)(hash / 64 & mask));
    // The shift, which the file gives, may exceed the 32 bits of a hash.
    return word >> (hash & 63) & word >> ((uint64_t)hash >> shift & 63) & 1;
}

// Can the object define a name of that hash? False is certain.
static inline bool elf_may_define(const struct elf_symbols *symbols,
                                  uint32_t hash)
{
    if (!symbols->gnu_buckets)
        return symbols->sysv_buckets != 0;
    return elf_bloom_has(symbols->gnu_bloom.data, symbols->gnu_mask,
                         symbols->gnu_shift, hash);
}

// The same for a hash whose lowest bit is not known: the filter first, which
// answers most. The bits for either value stand side by side, in one word.
bool elf_has_hash(const struct elf_symbols *symbols, uint32_t hash);
static inline bool elf_may_define_either(const struct elf_symbols *symbols,
                                         uint32_t hash)
{
    if (!symbols->gnu_buckets)
        return symbols->sysv_buckets != 0;
    const uint32_t shift = symbols->gnu_shift;
    uint64_t word = load64(symbols->gnu_bloom.data
                           + 8 * (uint64_t)(hash / 64 & symbols->gnu_mask));
    uint64_t low = word >> (hash & 62);
    uint64_t other = word >> ((uint64_t)hash >> shift & 63) | (shift == 0);
    // One branch: the parts of the answer cannot be foreseen, the whole can.
    return (low | low >> 1) & other & 1 && elf_has_hash(symbols, hash);
}

// The hash of what the object defines itself, as its table has it: but for the
// lowest bit. False when there is none, or when the table has another symbol
// before it that may be of the same name, or goes on too far back to tell.
bool elf_own_hash(const struct elf_symbols *symbols, uint32_t index,
                  uint32_t *hash);

// The first symbol of that hash in a chain of DT_GNU_HASH, from a symbol on; 0
// for none.
uint32_t elf_chain_find(const struct elf_symbols *symbols, uint32_t index,
                        uint32_t hash);

// As elf_find, when the first symbol of that hash in its chain is known.
uint32_t elf_find_from(const struct elf_symbols *symbols,
                       const struct elf_name *name, enum elf_want want,
                       uint32_t first, Elf64_Sym *symbol);

// Is it a symbol that a reference may be bound to? One that is not defined is,
// with an address: see ELF_WANT_DEFINED.
static inline bool elf_is_definition(const Elf64_Sym *symbol)
{
    const uint32_t definitions = 1u << STT_NOTYPE | 1u << STT_OBJECT
        | 1u << STT_FUNC | 1u << STT_COMMON | 1u << STT_TLS
        | 1u << STT_GNU_IFUNC;
    uint32_t type = ELF64_ST_TYPE(symbol->st_info);
    return definitions >> type & 1
        && (symbol->st_value || symbol->st_shndx == SHN_ABS
            || type == STT_TLS);
}

// Can other objects bind to it?
static inline bool elf_exported(const Elf64_Sym *symbol)
{
    unsigned char binding = ELF64_ST_BIND(symbol->st_info);
    unsigned char visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    return (binding == STB_GLOBAL || binding == STB_WEAK
            || binding == STB_GNU_UNIQUE)
        && (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

// The hashes in its DT_GNU_HASH, of 32 bits each, whose lowest bits are not
// theirs; empty without one.
struct view elf_hashes(const struct elf_symbols *symbols);

// Calls `visit` with each symbol that the object defines and exports, until it
// answers non-zero, which is returned.
int elf_symbols_each(const struct elf_symbols *symbols,
                     int (*visit)(void *data, uint32_t index,
                                  const Elf64_Sym *symbol), void *data);

// Does the object define that version, the base version included?
bool elf_defines_version(const struct elf_symbols *symbols, const char *version,
                         uint32_t hash);

// The tables' readers, for image.c and for the host's objects. Each checks what
// it is given and answers what is wrong with it, or NULL; elf_no_memory when
// that is no fault of the file's.
extern const char elf_no_memory[];
const char *elf_read_gnu_hash(struct elf_symbols *symbols, struct view table);
const char *elf_read_sysv_hash(struct elf_symbols *symbols, struct view table);

// `needs` and `definitions` begin at DT_VERNEED and DT_VERDEF and reach to the
// end of what may be read; they are empty without. Like ld.so this follows the
// links and not the counts, and ignores versym when both are empty.
const char *elf_read_versions(struct elf_symbols *symbols, struct view needs,
                              struct view definitions);

void elf_symbols_free(struct elf_symbols *symbols);

#endif
