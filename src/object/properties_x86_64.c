// Program properties (gABI "Note Section", psABI "Program Property"): what the
// objects say in .note.gnu.property becomes one note of the image, by the rule
// of each property. What the processor lacks and an object needs is refused, as
// ld.so refuses it.

#include "../elf/notes.h"
#include "../error.h"
#include "editor.h"

enum rule {
    RULE_AND,    // the bits that all objects have, ours apart
    RULE_OR,     // the bits that one has
    RULE_OR_AND, // the bits that one has, if all say something
};

// Ascending, as a note has them. Others are not kept: what they mean for
// several objects together is not known.
static const struct {
    uint32_t type;
    enum rule rule;
} known[EDIT_PROPERTIES] = {
    { 0xb0008000, RULE_OR },     // GNU_PROPERTY_1_NEEDED
    { 0xc0000002, RULE_AND },    // GNU_PROPERTY_X86_FEATURE_1_AND
    { 0xc0008001, RULE_OR },     // GNU_PROPERTY_X86_FEATURE_2_NEEDED
    { 0xc0008002, RULE_OR },     // GNU_PROPERTY_X86_ISA_1_NEEDED
    { 0xc0010001, RULE_OR_AND }, // GNU_PROPERTY_X86_FEATURE_2_USED
    { 0xc0010002, RULE_OR_AND }, // GNU_PROPERTY_X86_ISA_1_USED
};

enum { FEATURES = 1 }; // GNU_PROPERTY_X86_FEATURE_1_AND

// Of one object.
struct reading {
    uint32_t values[EDIT_PROPERTIES];
    bool there[EDIT_PROPERTIES];
};

static void read_property(struct reading *reading, uint32_t type,
                          struct view value)
{
    for (uint32_t i = 0; i < EDIT_PROPERTIES; i++) {
        if (known[i].type != type || value.size != 4)
            continue;
        reading->values[i] |= load32(value.data);
        reading->there[i] = true;
    }
}

static bool read_note(void *data, const Elf64_Nhdr *note, const uint8_t *name,
                      struct view properties)
{
    uint64_t at = 0;
    struct view value;
    if (note->n_type != NT_GNU_PROPERTY_TYPE_0 || note->n_namesz != 4
        || memcmp(name, "GNU", 4) != 0)
        return true;
    while (view_has(properties, at, 8)) {
        uint64_t size = load32(properties.data + at + 4);
        if (!view_part(properties, at + 8, size, &value))
            break;
        read_property(data, load32(properties.data + at), value);
        at += 8 + ((size + 7) & ~(uint64_t)7);
    }
    return true;
}

bool section_is_property(const struct elf_section *section)
{
    return section->type == SHT_NOTE
        && strcmp(section->name, NOTE_GNU_PROPERTY_SECTION_NAME) == 0;
}

e64_status edit_read_properties(struct edit *edit, const struct unit *unit)
{
    struct reading reading = { { 0 }, { 0 } };
    uint32_t levels = 0;
    if (unit->ours)
        return E64_OK;
    edit->property_units++;
    for (uint32_t i = 1; i < unit->read.section_count; i++) {
        const struct elf_section *section = &unit->read.sections[i];
        if (!section_is_property(section) || unit->pieces[i].dropped)
            continue;
        elf_notes_each(section->bytes, section->align, read_note, &reading);
        elf_read_isa_levels(section->bytes, section->align, &levels);
        uint32_t lacking = elf_isa_lacking_x86_64(levels);
        if (lacking)
            return edit_bad(unit, i, E64_UNSUPPORTED, "needs a processor of "
                            "ISA level %s, which this one is not "
                            "(GNU_PROPERTY_X86_ISA_1_NEEDED)",
                            elf_isa_name_x86_64(lacking));
    }
    for (uint32_t i = 0; i < EDIT_PROPERTIES; i++) {
        struct property *property = &edit->properties[i];
        if (!reading.there[i])
            continue;
        if (known[i].rule == RULE_AND && property->units)
            property->value &= reading.values[i];
        else
            property->value |= reading.values[i];
        property->units++;
    }
    return E64_OK;
}

// What the image has of a property; 0 is none.
static uint32_t value_of(const struct edit *edit, uint32_t i)
{
    const struct property *property = &edit->properties[i];
    bool all = property->units == edit->property_units;
    uint32_t value = known[i].rule == RULE_OR || all ? property->value : 0;
    // The entries of the PLT do not begin with endbr64.
    if (i == FEATURES && edit->call_count)
        value &= ~(uint32_t)GNU_PROPERTY_X86_FEATURE_1_IBT;
    return value;
}

uint64_t edit_properties_size(const struct edit *edit)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < EDIT_PROPERTIES; i++)
        size += value_of(edit, i) ? 16 : 0;
    return size ? sizeof(Elf64_Nhdr) + 4 + size : 0;
}

void edit_write_properties(const struct edit *edit)
{
    uint64_t size = edit_properties_size(edit);
    uint8_t *at = edit_at(edit, edit->chunks[CHUNK_PROPERTIES].vaddr);
    if (!size)
        return;
    const Elf64_Nhdr note = { 4, (uint32_t)(size - sizeof note - 4),
                              NT_GNU_PROPERTY_TYPE_0 };
    memcpy(at, &note, sizeof note);
    memcpy(at + sizeof note, "GNU", 4);
    at += sizeof note + 4;
    for (uint32_t i = 0; i < EDIT_PROPERTIES; i++) {
        const uint32_t words[] = { known[i].type, 4, value_of(edit, i), 0 };
        if (!words[2])
            continue;
        memcpy(at, words, sizeof words);
        at += sizeof words;
    }
}
