// Writes words, and has instructions that do not reach far enough rewritten.

#include "reach.h"

#include <string.h>

#include "../error.h"
#include "far.h"

_Static_assert(FAR_STUB_SIZE <= OBJECT_STUB_SIZE, "a stub has room");

static const char *name_of(const struct link_unit *unit, uint32_t symbol)
{
    Elf64_Sym read;
    return symbol && elf_symbol(unit->object.symbols, symbol, &read)
         ? elf_string(unit->object.symbols, read.st_name) : "";
}

static e64_status fail_file(const struct link_unit *unit, uint64_t place,
                            uint32_t type, const struct reloc_values *values)
{
    fail(E64_UNSUPPORTED, "%s: the relocation %s of 0x%llx cannot hold "
         "0x%llx: what it refers to is too far away; compile it with -fPIC",
         unit->object.name, reloc_name(type), (unsigned long long)place,
         (unsigned long long)(values->S + values->Z + values->A));
    error_path(unit->object.name);
    return E64_UNSUPPORTED;
}

// By object, section and symbol, as far as they are known.
static e64_status fail_object(const struct link_unit *unit, uint64_t place,
                              uint32_t type, uint32_t symbol,
                              const struct reloc_values *values,
                              const char *why)
{
    struct object_where where;
    const char *name = name_of(unit, symbol);
    if (!object_find(unit->made, place, &where))
        return fail_file(unit, place, type, values);
    fail(E64_UNSUPPORTED, "%s: %s+0x%llx refers to %s%s%s by %s, which cannot "
         "hold 0x%llx, as it is too far away%s%s%s; compile it with -fPIC, or "
         "with -mcmodel=large", where.part->name, where.section,
         (unsigned long long)where.offset, *name ? "'" : "",
         *name ? name : "what the objects define", *name ? "'" : "",
         reloc_name(type), (unsigned long long)(values->S + values->A),
         why ? " (the instruction cannot be rewritten: " : "", why ? why : "",
         why ? ")" : "");
    error_path(where.part->name);
    error_advice("compile it with -fPIC, or with -mcmodel=large");
    if (*name)
        error_symbol(name, NULL);
    return E64_UNSUPPORTED;
}

static const struct object_far *find_far(const struct object_image *made,
                                         uint64_t place)
{
    uint32_t low = 0, high = made->far_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (made->fars[middle].place < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low < made->far_count && made->fars[low].place == place
         ? &made->fars[low] : NULL;
}

// A word of data gets the address of a jump or of a copy. What the host defines
// is complete by now.
static bool stand_in(const struct link_unit *unit,
                     const struct object_far *far, uint32_t type,
                     uint32_t symbol, struct reloc_values values)
{
    struct link_binding binding;
    uint64_t stub = unit->object.bias + far->stub;
    if (!link_binding(unit, symbol, LINK_CLASS_ANY, &binding)
        || !binding.definer)
        return false;
    if (binding.type == STT_FUNC)
        far_jump((uint8_t *)stub, values.S);
    else if (binding.type == STT_OBJECT && binding.definer->host
             && binding.size && binding.size <= OBJECT_STUB_SIZE)
        memcpy((void *)stub, (const void *)values.S, binding.size);
    else
        return false;
    values.S = stub;
    return reloc_apply(type, &values);
}

// NULL when it is done; "" when nothing of the kind can be.
static const char *rewrite(const struct link_unit *unit, uint64_t place,
                           uint32_t type, uint32_t symbol,
                           const struct reloc_values *values)
{
    const struct object_image *made = unit->made;
    const struct object_far *far = find_far(made, place);
    enum reloc_reach reach = reloc_reach(type);
    const struct elf_load *load = elf_image_load(&unit->image, place, 4);
    if (!far || reach == REACH_NONE || !load)
        return "";
    if (far->code == OBJECT_NOWHERE)
        return stand_in(unit, far, type, symbol, *values) ? NULL : "";
    const uint64_t bias = unit->object.bias;
    bool last = far + 1 == made->fars + made->far_count;
    const struct far_word word = {
        .place = (uint8_t *)(bias + place),
        .code = (uint8_t *)(bias + far->code),
        .end = (uint8_t *)(bias + load->vaddr + load->memsz),
        .stub = (uint8_t *)(bias + far->stub),
        .next_place = last ? NULL : (uint8_t *)(bias + far[1].place),
    };
    return far_rewrite(&word, values->S + values->A,
                       reach == REACH_RELATIVE);
}

e64_status reach_write(const struct link_unit *unit, uint64_t place,
                       uint32_t type, uint32_t symbol,
                       const struct reloc_values *values)
{
    if (reloc_apply(type, values))
        return E64_OK;
    if (!unit->made)
        return fail_file(unit, place, type, values);
    const char *why = rewrite(unit, place, type, symbol, values);
    return why ? fail_object(unit, place, type, symbol, values,
                             *why ? why : NULL) : E64_OK;
}
