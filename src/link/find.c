// The order of a scope decides: the first definition counts.

#include "find.h"

#include <string.h>

#include "../error.h"
#include "../host/host.h"
#include "../memory.h"
#include "positions.h"

static bool is_skipped(const struct link_scope *scope,
                       const struct elf_object *object)
{
    return scope->skip && scope->skip(scope->data, object);
}

bool find_one(const struct link_scope *scope, const struct elf_name *name,
              enum elf_want want, const struct elf_object *but,
              struct elf_query *found)
{
    for (uint32_t list = 0; list < scope->count; list++) {
        for (uint32_t i = 0; i < scope->counts[list]; i++) {
            const struct elf_object *object = scope->lists[list][i];
            if (is_skipped(scope, object))
                continue;
            found->index = elf_find(object->symbols, name, want,
                                    &found->symbol);
            if (found->index && object != but) {
                found->object = object;
                return true;
            }
        }
    }
    found->object = NULL;
    return false;
}

// A filter takes as long as asking each of them does for so many names.
static bool is_worth_a_filter(const struct find_scope *scope, uint32_t own,
                              uint64_t *symbols)
{
    *symbols = 0;
    for (uint32_t i = 0; i < scope->self; i++) {
        const struct elf_symbols *tables = scope->objects[i]->symbols;
        if (!tables->gnu_buckets && tables->sysv_buckets)
            return false;
        *symbols += elf_hashes(tables).size / 4;
        if (*symbols > own)
            return false;
    }
    return scope->self < scope->count;
}

static void make_filter(struct find_scope *scope, uint32_t own)
{
    uint64_t symbols;
    if (scope->positions || scope->self <= scope->hosts
        || !is_worth_a_filter(scope, own, &symbols)
        || !hash_set_new(&scope->rivals, symbols))
        return;
    for (uint32_t i = 0; i < scope->self; i++)
        hash_set_add(&scope->rivals, scope->objects[i]->symbols);
}

e64_status find_scope_new(const struct link_scope *from,
                          const struct elf_object *self, uint32_t own,
                          struct find_scope *scope)
{
    uint32_t room = 0;
    *scope = (struct find_scope){ .positions = from->positions };
    if (from->host)
        scope->host = host_defined(from->host, own);
    scope->hosts = scope->host ? from->counts[0] : 0;
    for (uint32_t list = 0; list < from->count; list++)
        room += from->counts[list];
    scope->objects = memory_resize(NULL, (room + 1) * sizeof *scope->objects);
    if (!scope->objects)
        return fail_memory(room * sizeof *scope->objects);
    scope->self = room;
    for (uint32_t list = 0; list < from->count; list++) {
        for (uint32_t i = 0; i < from->counts[list]; i++) {
            const struct elf_object *object = from->lists[list][i];
            if (object == self && scope->self == room)
                scope->self = scope->count;
            scope->objects[scope->count++] = object;
        }
    }
    make_filter(scope, own);
    return E64_OK;
}

void find_scope_free(struct find_scope *scope)
{
    memory_free(scope->objects);
    hash_set_free(&scope->rivals);
}

// Where to begin to look.
static uint32_t first_position(const struct find_scope *scope, uint32_t hash)
{
    return scope->positions ? positions_first(scope->positions, hash) : 0;
}

static void add_open(struct elf_open *open, const struct elf_query *queries,
                     uint32_t query)
{
    open->query[open->count] = (uint8_t)query;
    open->hash[open->count++] = queries[query].name.gnu_hash;
}

// A list for each position of the queries that begin there.
struct starts {
    uint8_t first[POSITIONS_LAST + 1]; // number of a query plus one
    uint8_t next[ELF_BATCH];
};

static void list_starts(const struct find_scope *scope,
                        const struct elf_query *queries, uint32_t count,
                        struct starts *starts)
{
    memset(starts->first, 0, sizeof starts->first);
    for (uint32_t i = count; i-- > 0; ) {
        uint32_t position = first_position(scope, queries[i].name.gnu_hash);
        starts->next[i] = starts->first[position];
        starts->first[position] = (uint8_t)(i + 1);
    }
}

void find_all(const struct find_scope *scope, struct elf_query *queries,
              uint32_t count)
{
    struct starts starts;
    struct elf_open open = { .count = 0 };
    if (scope->positions)
        list_starts(scope, queries, count, &starts);
    else
        for (uint32_t i = 0; i < count; i++)
            add_open(&open, queries, i);
    for (uint32_t i = 0; i < scope->count; i++) {
        if (scope->positions && i <= POSITIONS_LAST)
            for (uint32_t next = starts.first[i]; next;
                 next = starts.next[next - 1])
                add_open(&open, queries, next - 1);
        if (open.count)
            elf_find_all(scope->objects[i], queries, &open);
    }
}

static bool is_disputed(const struct find_scope *scope, uint32_t hash)
{
    if (scope->rivals.bits && !hash_set_has(&scope->rivals, hash))
        return false;
    uint32_t first = first_position(scope, hash);
    if (first < scope->hosts && !hash_set_has(scope->host, hash))
        first = scope->hosts;
    for (uint32_t i = first; i < scope->self; i++)
        if (elf_may_define_either(scope->objects[i]->symbols, hash))
            return true;
    return false;
}

uint64_t find_disputed(const struct find_scope *scope, const uint32_t *hashes,
                       uint32_t count)
{
    uint64_t disputed = 0;
    for (uint32_t i = 0; i < count; i++)
        disputed |= (uint64_t)is_disputed(scope, hashes[i]) << i;
    return disputed;
}
