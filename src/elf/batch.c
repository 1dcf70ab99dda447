// Looks many names up in one object at once. A lookup is a chain of reads from
// memory, each of which needs the one before: the filter, the bucket, the
// chain, the symbol, its name. The processor waits for many of them at a time.

#include "batch.h"

// Where those that the object may define have got to.
struct stage {
    uint8_t place[ELF_BATCH]; // on the list
    uint32_t at[ELF_BATCH]; // a bucket, then a symbol
    uint32_t count;
};

// There may be no such table, and nothing is read where it would be.
static inline void fetch(struct view table, uint64_t offset)
{
    __builtin_prefetch((const void *)((uintptr_t)table.data + offset));
}

// Without a branch for each answer of the filter, which cannot be foreseen.
static void filter(const struct elf_symbols *symbols,
                   const struct elf_open *open, struct stage *stage)
{
    const uint8_t *bloom = symbols->gnu_bloom.data;
    const uint32_t mask = symbols->gnu_mask, shift = symbols->gnu_shift;
    uint32_t count = 0;
    for (uint32_t i = 0; i < open->count; i++) {
        uint32_t hash = open->hash[i];
        stage->place[count] = (uint8_t)i;
        stage->at[count] = hash;
        count += elf_bloom_has(bloom, mask, shift, hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        stage->at[i] %= symbols->gnu_buckets;
        fetch(symbols->gnu_bucket, 4 * (uint64_t)stage->at[i]);
    }
    stage->count = count;
}

static void find_chains(const struct elf_symbols *symbols,
                        struct stage *stage)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < stage->count; i++) {
        uint32_t index = load32(symbols->gnu_bucket.data
                                + 4 * (uint64_t)stage->at[i]);
        if (index < symbols->gnu_offset)
            continue;
        fetch(symbols->gnu_chain, 4 * (uint64_t)(index - symbols->gnu_offset));
        stage->place[count] = stage->place[i];
        stage->at[count++] = index;
    }
    stage->count = count;
}

static void find_symbols(const struct elf_symbols *symbols,
                         const struct elf_open *open, struct stage *stage)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < stage->count; i++) {
        uint32_t index = elf_chain_find(symbols, stage->at[i],
                                        open->hash[stage->place[i]]);
        if (!index)
            continue;
        fetch(symbols->symtab, (uint64_t)index * sizeof(Elf64_Sym));
        fetch(symbols->versym, (uint64_t)index * 2);
        stage->place[count] = stage->place[i];
        stage->at[count++] = index;
    }
    stage->count = count;
}

static void find_names(const struct elf_symbols *symbols,
                       const struct stage *stage)
{
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < stage->count; i++) {
        if (!elf_symbol(symbols, stage->at[i], &symbol))
            continue;
        const char *name = elf_string(symbols, symbol.st_name);
        __builtin_prefetch(name);
        __builtin_prefetch(name + 64); // those of C++ are long
    }
}

static bool find(const struct elf_object *object, struct elf_query *query,
                 uint32_t from)
{
    query->index = from
        ? elf_find_from(object->symbols, &query->name, query->want, from,
                        &query->symbol)
        : elf_find(object->symbols, &query->name, query->want, &query->symbol);
    query->object = query->index ? object : NULL;
    return query->index;
}

static void take_off(struct elf_open *open, uint32_t place)
{
    uint32_t last = --open->count;
    open->hash[place] = open->hash[last];
    open->query[place] = open->query[last];
}

// From the last to the first: what takes a place that is free has been asked
// for.
void elf_find_all(const struct elf_object *object, struct elf_query *queries,
                  struct elf_open *open)
{
    const struct elf_symbols *symbols = object->symbols;
    struct stage stage;
    if (symbols->gnu_buckets) {
        filter(symbols, open, &stage);
        find_chains(symbols, &stage);
        find_symbols(symbols, open, &stage);
        find_names(symbols, &stage);
        for (uint32_t i = stage.count; i-- > 0; ) {
            uint32_t place = stage.place[i];
            if (find(object, &queries[open->query[place]], stage.at[i]))
                take_off(open, place);
        }
    } else if (symbols->sysv_buckets) {
        for (uint32_t place = open->count; place-- > 0; )
            if (find(object, &queries[open->query[place]], 0))
                take_off(open, place);
    }
}
