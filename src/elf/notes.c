// Reads notes, and of them GNU properties (gABI "Note Section", psABI "Program
// Property").

#include "notes.h"

static uint64_t up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

void elf_notes_each(struct view notes, uint64_t align,
                    bool (*visit)(void *data, const Elf64_Nhdr *note,
                                  const uint8_t *name,
                                  struct view description),
                    void *data)
{
    uint64_t at = 0;
    Elf64_Nhdr note;
    if (align != 8) // gABI: what is not 8 means 4, 0 and 1 too
        align = 4;
    while (view_read(notes, at, &note, sizeof note)) {
        uint64_t name_at = at + sizeof note;
        uint64_t data_at = at + up(sizeof note + (uint64_t)note.n_namesz,
                                   align);
        struct view name, description;
        if (view_part(notes, name_at, note.n_namesz, &name)
            && view_part(notes, data_at, note.n_descsz, &description)
            && !visit(data, &note, name.data, description))
            return;
        at = data_at + up(note.n_descsz, align);
    }
}

// The properties of one NT_GNU_PROPERTY_TYPE_0 note: type, size, padded data.
static bool read_properties(void *data, const Elf64_Nhdr *note,
                            const uint8_t *name, struct view properties)
{
    uint32_t *levels = data;
    if (note->n_type != NT_GNU_PROPERTY_TYPE_0 || note->n_namesz != 4
        || memcmp(name, "GNU", 4) != 0)
        return true;
    uint64_t at = 0;
    while (view_has(properties, at, 8)) {
        uint32_t type = load32(properties.data + at);
        uint32_t size = load32(properties.data + at + 4);
        if (!view_has(properties, at + 8, size))
            break;
        if (type == GNU_PROPERTY_X86_ISA_1_NEEDED && size == 4)
            *levels |= load32(properties.data + at + 8);
        at += 8 + up(size, 8);
    }
    return true;
}

void elf_read_isa_levels(struct view notes, uint64_t align, uint32_t *levels)
{
    // Only notes of 8-byte alignment hold properties on this machine.
    if (align == 8)
        elf_notes_each(notes, align, read_properties, levels);
}
