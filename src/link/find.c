// The order of a scope decides: the first definition counts.

#include "find.h"

#include "../error.h"
#include "../memory.h"

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

void find_all(const struct link_scope *scope, struct elf_query *queries,
              uint32_t count)
{
    struct elf_open open = { .count = count };
    for (uint32_t i = 0; i < count; i++) {
        open.hash[i] = queries[i].name.gnu_hash;
        open.query[i] = (uint8_t)i;
    }
    for (uint32_t list = 0; list < scope->count; list++) {
        for (uint32_t i = 0; open.count && i < scope->counts[list]; i++) {
            const struct elf_object *object = scope->lists[list][i];
            if (!is_skipped(scope, object))
                elf_find_all(object, queries, &open);
        }
    }
}

e64_status find_rivals(const struct link_scope *scope,
                       const struct elf_object *self,
                       struct find_rivals *rivals)
{
    uint32_t count = 0;
    *rivals = (struct find_rivals){ 0 };
    for (uint32_t list = 0; list < scope->count; list++)
        count += scope->counts[list];
    rivals->symbols = memory_resize(NULL, (count + 1)
                                    * sizeof *rivals->symbols);
    if (!rivals->symbols)
        return fail_memory(count * sizeof *rivals->symbols);
    for (uint32_t list = 0; list < scope->count; list++) {
        for (uint32_t i = 0; i < scope->counts[list]; i++) {
            const struct elf_object *object = scope->lists[list][i];
            if (object == self) {
                rivals->known = !scope->skip;
                return E64_OK;
            }
            rivals->symbols[rivals->count++] = object->symbols;
        }
    }
    return E64_OK;
}

void find_rivals_free(struct find_rivals *rivals)
{
    memory_free(rivals->symbols);
}

uint64_t find_disputed(const struct find_rivals *rivals,
                       const uint32_t *hashes, uint32_t count)
{
    uint64_t disputed = 0;
    for (uint32_t i = 0; i < rivals->count; i++)
        for (uint32_t k = 0; k < count; k++)
            disputed |= (uint64_t)elf_may_define_either(rivals->symbols[i],
                                                        hashes[k]) << k;
    return disputed;
}
