// What the image shows to others and wants from them: DT_SYMTAB, DT_STRTAB,
// DT_GNU_HASH, and the tables of relocations. Imports have no version.

#include <stdlib.h>

#include "../elf/symbols.h"
#include "../error.h"
#include "../memory.h"
#include "editor.h"

enum { BLOOM_SHIFT = 6 };

e64_status edit_import(struct edit *edit, struct symbol *symbol)
{
    if (symbol->imported)
        return E64_OK;
    e64_status status = memory_grow(&edit->imports, edit->import_count,
                                    &edit->import_room, sizeof symbol);
    if (status == E64_OK) {
        edit->imports[edit->import_count++] = symbol;
        symbol->imported = true;
    }
    return status;
}

static bool is_shown(const struct symbol *symbol)
{
    return symbol_is_exported(symbol)
        && (symbol->place != PLACE_SECTION
            || piece_is_loaded(&symbol->unit->pieces[symbol->section]));
}

static void add(struct edit *edit, struct symbol *symbol)
{
    edit->dynamics[edit->dynamic_count] = symbol;
    symbol->dynamic = edit->dynamic_count++;
    edit->strings_size += strlen(symbol->name) + 1;
}

// A symbol and its bucket, while they are sorted.
struct row {
    struct symbol *symbol;
    uint32_t bucket;
};

static int by_bucket(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    return one->bucket < other->bucket ? -1
         : one->bucket > other->bucket ? 1
         : strcmp(one->symbol->name, other->symbol->name);
}

// What is exported, in the order of the buckets. Answers how many there are.
static uint32_t gather(struct edit *edit, struct row *rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < edit->bucket_count; i++) {
        for (struct symbol *symbol = edit->buckets[i]; symbol;
             symbol = symbol->next) {
            if (!is_shown(symbol))
                continue;
            if (rows)
                rows[count] = (struct row){
                    symbol, symbol->hash % edit->buckets_of_hash };
            count++;
        }
    }
    return count;
}

static e64_status add_exports(struct edit *edit)
{
    uint32_t count = gather(edit, NULL);
    struct row *rows = memory_array(count + 1, sizeof *rows);
    if (!rows)
        return fail_memory(count * sizeof *rows);
    edit->buckets_of_hash = count / 2 + 1;
    for (edit->words_of_hash = 1; edit->words_of_hash * 8 < count; )
        edit->words_of_hash *= 2;
    gather(edit, rows);
    qsort(rows, count, sizeof *rows, by_bucket);
    for (uint32_t i = 0; i < count; i++)
        add(edit, rows[i].symbol);
    memory_free(rows);
    return E64_OK;
}

// Local ones first (gABI, "Symbol Table"), then what others define, then what
// the hash table covers.
e64_status edit_count_dynamics(struct edit *edit)
{
    uint64_t most = (uint64_t)edit->symbol_count + edit->import_count + 1;
    edit->dynamics = edit_new(edit, most * sizeof *edit->dynamics);
    if (!edit->dynamics)
        return fail_memory(most * sizeof *edit->dynamics);
    edit->dynamic_count = 1;
    edit->strings_size = 1;
    for (uint32_t i = 0; i < edit->import_count; i++)
        if (edit->imports[i]->place != PLACE_NONE
            && !is_shown(edit->imports[i]))
            add(edit, edit->imports[i]);
    edit->first_global = edit->dynamic_count;
    for (uint32_t i = 0; i < edit->import_count; i++)
        if (edit->imports[i]->place == PLACE_NONE)
            add(edit, edit->imports[i]);
    edit->first_exported = edit->dynamic_count;
    return add_exports(edit);
}

Elf64_Sym edit_symbol(const struct edit *edit, const struct symbol *symbol)
{
    unsigned char binding = symbol->binding;
    if (symbol->place == PLACE_NONE)
        binding = symbol->wanted ? STB_GLOBAL : STB_WEAK;
    else if (symbol->local || symbol->visibility == STV_HIDDEN
             || symbol->visibility == STV_INTERNAL)
        binding = STB_LOCAL;
    else if (binding == STB_GNU_UNIQUE && symbol->direct)
        binding = STB_GLOBAL; // the image's own code does not ask for it
    return (Elf64_Sym){
        .st_info = ELF64_ST_INFO(binding, symbol->type),
        .st_other = symbol->visibility,
        .st_shndx = symbol->place == PLACE_NONE ? SHN_UNDEF
                  : symbol->place == PLACE_FIXED ? SHN_ABS
                  : (uint16_t)edit_chunk(edit, symbol),
        .st_value = edit_address(edit, symbol),
        .st_size = symbol->place == PLACE_NONE ? 0 : symbol->size,
    };
}

// The GNU hash table; its layout stands at elf_read_gnu_hash.
static void write_hash(const struct edit *edit)
{
    uint32_t *header = (void *)edit_at(edit, edit->chunks[CHUNK_HASH].vaddr);
    uint64_t *bloom = (uint64_t *)(void *)(header + 4);
    uint32_t *buckets = (uint32_t *)(bloom + edit->words_of_hash);
    uint32_t *chain = buckets + edit->buckets_of_hash;
    uint32_t first = edit->first_exported;
    header[0] = edit->buckets_of_hash;
    header[1] = first;
    header[2] = edit->words_of_hash;
    header[3] = BLOOM_SHIFT;
    for (uint32_t i = first; i < edit->dynamic_count; i++) {
        uint32_t hash = edit->dynamics[i]->hash;
        uint32_t bucket = hash % edit->buckets_of_hash;
        bool last = i + 1 == edit->dynamic_count
            || edit->dynamics[i + 1]->hash % edit->buckets_of_hash != bucket;
        bloom[hash / 64 % edit->words_of_hash]
            |= 1ull << hash % 64 | 1ull << (hash >> BLOOM_SHIFT) % 64;
        if (!buckets[bucket])
            buckets[bucket] = i;
        chain[i - first] = (hash & ~1u) | last;
    }
}

void edit_write_dynamics(struct edit *edit)
{
    Elf64_Sym *symbols = (void *)edit_at(edit,
                                         edit->chunks[CHUNK_SYMBOLS].vaddr);
    char *strings = (char *)edit_at(edit, edit->chunks[CHUNK_STRINGS].vaddr);
    uint32_t at = 1;
    for (uint32_t i = 1; i < edit->dynamic_count; i++) {
        const struct symbol *symbol = edit->dynamics[i];
        size_t size = strlen(symbol->name) + 1;
        symbols[i] = edit_symbol(edit, symbol);
        symbols[i].st_name = at;
        memcpy(strings + at, symbol->name, size);
        at += (uint32_t)size;
    }
    write_hash(edit);
}

void edit_dynamic(struct edit *edit, bool relative, uint64_t place,
                  uint32_t type, uint32_t symbol, uint64_t addend)
{
    Elf64_Rela *table = (void *)edit_at(edit, edit->chunks[CHUNK_RELA].vaddr);
    uint64_t at = relative ? edit->relative_next++
                           : edit->relative_count + edit->other_next++;
    table[at] = (Elf64_Rela){ place, ELF64_R_INFO((uint64_t)symbol, type),
                              (int64_t)addend };
}

void edit_dynamic_call(struct edit *edit, uint64_t place, uint32_t type,
                       uint32_t symbol)
{
    Elf64_Rela *table = (void *)edit_at(edit,
                                        edit->chunks[CHUNK_JMPREL].vaddr);
    table[edit->call_next++] = (Elf64_Rela){
        place, ELF64_R_INFO((uint64_t)symbol, type), 0 };
}
