// Slots that wait for their first call (gABI, "Procedure Linkage Table"; psABI
// 5.2). Such a slot leads into the PLT, which hands the number of its
// relocation to what the second and third words of DT_PLTGOT name.

#include "link.h"
#include "reloc.h"

static bool is_writable(const struct link_unit *unit, uint64_t vaddr,
                        uint64_t size)
{
    const struct elf_load *load = elf_image_load(&unit->image, vaddr, size);
    return load && load->flags & PF_W;
}

// May it be written to as long as the plugin is there? What is sealed begins
// with the page that PT_GNU_RELRO begins on, and ends with a whole page.
static bool is_slot(const struct link_unit *unit, uint64_t vaddr)
{
    const struct elf_range *relro = &unit->image.relro;
    const uint64_t size = 8;
    return is_writable(unit, vaddr, size)
        && (vaddr + size <= (relro->vaddr & ~(uint64_t)4095)
            || vaddr >= ((relro->vaddr + relro->size) & ~(uint64_t)4095));
}

static bool is_code(const struct link_unit *unit, uint64_t vaddr)
{
    const struct elf_load *load = elf_image_load(&unit->image, vaddr, 1);
    return load && load->flags & PF_X;
}

// A word that is as the file has it: each slot is pointed by itself, and what
// lazy_enter writes comes last.
static uint64_t word_at(const struct link_unit *unit, uint64_t vaddr)
{
    return is_writable(unit, vaddr, 8)
         ? load64((const uint8_t *)(unit->object.bias + vaddr)) : 0;
}

void lazy_decide(struct link_unit *unit)
{
    const struct elf_image *image = &unit->image;
    unit->lazy.wanted = unit->lazy.wanted && image->relocations.jmprel.size
        && !image->bind_now && !(image->flags_1 & DF_1_NOW)
        && image->plt_slots && is_writable(unit, image->plt_slots, 24);
}

// Where a slot leads to as yet. Where prelink has been at work it says so in
// the second word: slots hold addresses then, and the PLT's entries, of 16
// bytes each, are in the order of the slots.
static uint64_t target(const struct link_unit *unit, uint64_t place)
{
    const uint64_t slots = unit->image.plt_slots;
    uint64_t prelinked = word_at(unit, slots + 8);
    if (prelinked)
        return prelinked + 2 * (place - (slots + 24));
    return word_at(unit, place);
}

bool lazy_waits(const struct link_unit *unit, uint64_t place)
{
    return (place + unit->object.bias) % 8 == 0 && is_slot(unit, place)
        && is_code(unit, target(unit, place));
}

void lazy_point(const struct link_unit *unit, uint64_t place)
{
    uint64_t address = unit->object.bias + target(unit, place);
    memcpy((void *)(unit->object.bias + place), &address, sizeof address);
}

void lazy_enter(const struct link_unit *unit)
{
    const uint64_t words[2] = { (uintptr_t)unit->lazy.owner,
                                (uintptr_t)unit->lazy.entry };
    memcpy((void *)(unit->object.bias + unit->image.plt_slots + 8), words,
           sizeof words);
}

bool link_slot(const struct link_unit *unit, uint64_t number, uint64_t **slot,
               uint32_t *symbol)
{
    const struct view *plt = &unit->image.relocations.jmprel;
    if (number >= plt->size / sizeof(Elf64_Rela))
        return false;
    const uint8_t *entry = plt->data + number * sizeof(Elf64_Rela);
    uint64_t place = load64(entry), info = load64(entry + 8);
    *symbol = (uint32_t)ELF64_R_SYM(info);
    *slot = (uint64_t *)(unit->object.bias + place);
    return *symbol && reloc_kind(ELF64_R_TYPE(info)) == RELOC_JUMP
        && is_slot(unit, place);
}
