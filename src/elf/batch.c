// Looks many names up in one object at once. A lookup is a chain of reads from
// memory, each of which needs the one before: the filter, the bucket, the
// chain, the symbol, its name. The processor waits for many of them at a time.

#include "batch.h"

// Where the lookups of a batch have got to.
struct stage {
    uint8_t query[ELF_BATCH]; // which ones are still possible
    uint32_t at[ELF_BATCH];   // of each: a bucket, then a symbol
    uint32_t count;
};

static inline void fetch(struct view table, uint64_t offset)
{
    __builtin_prefetch(table.data + offset);
}

static void filter(const struct elf_symbols *symbols,
                   const struct elf_query *queries, const uint8_t *open,
                   uint32_t count, struct stage *stage)
{
    stage->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash = queries[open[i]].name.gnu_hash;
        if (!elf_may_define(symbols, hash))
            continue;
        uint32_t bucket = hash % symbols->gnu_buckets;
        fetch(symbols->gnu_bucket, 4 * (uint64_t)bucket);
        stage->query[stage->count] = open[i];
        stage->at[stage->count++] = bucket;
    }
}

static void find_chains(const struct elf_symbols *symbols,
                        struct stage *stage)
{
    uint32_t count = stage->count;
    stage->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = load32(symbols->gnu_bucket.data
                                + 4 * (uint64_t)stage->at[i]);
        if (index < symbols->gnu_offset)
            continue;
        fetch(symbols->gnu_chain, 4 * (uint64_t)(index - symbols->gnu_offset));
        stage->query[stage->count] = stage->query[i];
        stage->at[stage->count++] = index;
    }
}

static void find_symbols(const struct elf_symbols *symbols,
                         const struct elf_query *queries, struct stage *stage)
{
    uint32_t count = stage->count;
    stage->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = elf_chain_find(symbols, stage->at[i],
            queries[stage->query[i]].name.gnu_hash);
        if (!index)
            continue;
        fetch(symbols->symtab, (uint64_t)index * sizeof(Elf64_Sym));
        fetch(symbols->versym, (uint64_t)index * 2);
        stage->query[stage->count] = stage->query[i];
        stage->at[stage->count++] = index;
    }
}

static void find_names(const struct elf_symbols *symbols,
                       const struct stage *stage)
{
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < stage->count; i++)
        if (elf_symbol(symbols, stage->at[i], &symbol))
            __builtin_prefetch(elf_string(symbols, symbol.st_name));
}

// Takes those that have been found off the list.
static uint32_t close_found(const struct elf_query *queries, uint8_t *open,
                            uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!queries[open[i]].object)
            open[left++] = open[i];
    return left;
}

static void find(const struct elf_object *object, struct elf_query *query,
                 uint32_t from)
{
    query->index = from
        ? elf_find_from(object->symbols, &query->name, query->want, from,
                        &query->symbol)
        : elf_find(object->symbols, &query->name, query->want, &query->symbol);
    query->object = query->index ? object : NULL;
}

uint32_t elf_find_all(const struct elf_object *object,
                      struct elf_query *queries, uint8_t *open, uint32_t count)
{
    const struct elf_symbols *symbols = object->symbols;
    struct stage stage;
    if (!symbols->gnu_buckets) {
        for (uint32_t i = 0; symbols->sysv_buckets && i < count; i++)
            find(object, &queries[open[i]], 0);
        return symbols->sysv_buckets ? close_found(queries, open, count)
                                     : count;
    }
    filter(symbols, queries, open, count, &stage);
    if (!stage.count)
        return count;
    find_chains(symbols, &stage);
    find_symbols(symbols, queries, &stage);
    find_names(symbols, &stage);
    for (uint32_t i = 0; i < stage.count; i++)
        find(object, &queries[stage.query[i]], stage.at[i]);
    return stage.count ? close_found(queries, open, count) : count;
}
