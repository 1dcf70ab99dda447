// Reads GNU property notes (gABI "Note Section", psABI "Program Property").

#include "notes.h"

static uint64_t up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

// The properties of one NT_GNU_PROPERTY_TYPE_0 note: type, size, padded data.
static void read_properties(struct view properties, uint32_t *levels)
{
    uint64_t at = 0;
    while (view_has(properties, at, 8)) {
        uint32_t type = load32(properties.data + at);
        uint32_t size = load32(properties.data + at + 4);
        if (!view_has(properties, at + 8, size))
            return;
        if (type == GNU_PROPERTY_X86_ISA_1_NEEDED && size == 4)
            *levels |= load32(properties.data + at + 8);
        at += 8 + up(size, 8);
    }
}

void elf_read_isa_levels(struct view notes, uint64_t align, uint32_t *levels)
{
    // Only notes of 8-byte alignment hold properties on this machine.
    if (align != 8)
        return;
    uint64_t at = 0;
    Elf64_Nhdr note;
    while (view_read(notes, at, &note, sizeof note)) {
        uint64_t name_at = at + sizeof note;
        uint64_t data_at = at + up(sizeof note + (uint64_t)note.n_namesz, align);
        struct view properties;
        if (note.n_type == NT_GNU_PROPERTY_TYPE_0 && note.n_namesz == 4
            && view_has(notes, name_at, 4)
            && memcmp(notes.data + name_at, "GNU", 4) == 0
            && view_part(notes, data_at, note.n_descsz, &properties))
            read_properties(properties, levels);
        at = data_at + up(note.n_descsz, align);
    }
}
