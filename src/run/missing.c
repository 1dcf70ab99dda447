// What resolving a group has found missing.

#include "missing.h"

#include "../memory.h"

// What one failure may hold has less room than these.
enum { MOST_SYMBOLS = 512, MOST_VERSIONS = 32 };

// Room for one more; false when there is none, for whatever reason.
static bool make_room(void **all, size_t size, uint32_t count, uint32_t *room,
                      uint32_t most)
{
    if (count < *room)
        return true;
    if (count == most)
        return false;
    uint32_t more = *room ? 2 * *room : 16;
    void *resized = memory_resize(*all, more * size);
    if (!resized)
        return false;
    *all = resized;
    *room = more;
    return true;
}

// A symbol that is called and whose address is taken is looked for twice.
static bool has(const struct missing *missing, const struct link_unit *unit,
                uint32_t symbol)
{
    for (uint32_t i = missing->symbol_count; i-- > 0; )
        if (missing->symbols[i].unit == unit
            && missing->symbols[i].symbol == symbol)
            return true;
    return false;
}

void missing_add(struct missing *missing, const struct link_unit *unit,
                 uint32_t symbol)
{
    if (has(missing, unit, symbol))
        return;
    missing->symbol_total++;
    if (!make_room((void **)&missing->symbols, sizeof *missing->symbols,
                   missing->symbol_count, &missing->symbol_room, MOST_SYMBOLS))
        return;
    const struct elf_version *version
        = elf_symbol_version(unit->object.symbols, symbol);
    missing->symbols[missing->symbol_count++] = (struct missing_symbol){
        unit, symbol, version ? version->name : 0, false };
}

void missing_add_version(struct missing *missing, const struct link_unit *unit,
                         uint32_t version, const struct elf_object *object)
{
    missing->version_total++;
    if (make_room((void **)&missing->versions, sizeof *missing->versions,
                  missing->version_count, &missing->version_room,
                  MOST_VERSIONS))
        missing->versions[missing->version_count++]
            = (struct missing_version){ unit, version, object };
}

void missing_free(struct missing *missing)
{
    memory_free(missing->symbols);
    memory_free(missing->versions);
    memory_free(missing->scope_objects);
    *missing = (struct missing){ 0 };
}
