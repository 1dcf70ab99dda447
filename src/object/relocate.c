// Goes through the relocations of all sections that are in the image: what each
// refers to is found here, what it means in relocate_x86_64.c.

#include "relocate.h"

#include <stdio.h>
#include <stdlib.h>

#include "../error.h"
#include "../memory.h"

static const char *symbol_text(const struct relocating *now)
{
    struct elf_symbol read = elf_relocatable_symbol(&now->unit->read,
                                                    now->index);
    if (*read.name)
        return read.name;
    return read.section < now->unit->read.section_count
         ? now->unit->read.sections[read.section].name : "";
}

e64_status relocation_bad(const struct relocating *now, e64_status status,
                          const char *what)
{
    const char *name = now->index ? symbol_text(now) : "";
    fail(status, "%s: section %s: the relocation %s (type %u) of offset "
         "0x%llx%s%s%s %s", now->unit->name, now->section->name,
         edit_type_name(now->type), now->type,
         (unsigned long long)now->offset, *name ? " for '" : "", name,
         *name ? "'" : "", what);
    error_path(now->unit->name);
    if (*name)
        error_symbol(name, NULL);
    return status;
}

static bool fits(uint64_t value, enum fit fit)
{
    const int64_t number = (int64_t)value;
    switch (fit) {
    case FIT_64: return true;
    case FIT_UNSIGNED_32: return value <= UINT32_MAX;
    case FIT_SIGNED_32: return number == (int32_t)number;
    case FIT_16: return value <= UINT16_MAX || number == (int16_t)number;
    case FIT_SIGNED_16: return number == (int16_t)number;
    case FIT_8: return value <= UINT8_MAX || number == (int8_t)number;
    case FIT_SIGNED_8: return number == (int8_t)number;
    }
    return false;
}

static uint32_t width_of(enum fit fit)
{
    return fit == FIT_64 ? 8 : fit <= FIT_SIGNED_32 ? 4
         : fit <= FIT_SIGNED_16 ? 2 : 1;
}

e64_status relocation_put(struct relocating *now, uint64_t value, enum fit fit)
{
    char text[96];
    if (!now->writing)
        return E64_OK;
    if (!fits(value, fit)) {
        snprintf(text, sizeof text, "cannot hold 0x%llx: what it refers to is "
                 "too far away", (unsigned long long)value);
        return relocation_bad(now, E64_UNSUPPORTED, text);
    }
    memcpy(now->output + now->offset, &value, width_of(fit));
    return E64_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct start *one = a, *other = b;
    if (one->section != other->section)
        return one->section < other->section ? -1 : 1;
    return one->value < other->value ? -1 : one->value > other->value;
}

// The functions of an object.
static e64_status find_starts(struct edit *edit, struct unit *unit)
{
    const struct elf_relocatable *read = &unit->read;
    uint32_t count = 0;
    unit->starts = edit_new(edit, read->symbol_count * sizeof *unit->starts);
    if (!unit->starts)
        return fail_memory(read->symbol_count * sizeof *unit->starts);
    for (uint32_t i = 1; i < read->symbol_count; i++) {
        struct elf_symbol symbol = elf_relocatable_symbol(read, i);
        if (symbol.type == STT_FUNC)
            unit->starts[count++] = (struct start){ symbol.section,
                                                    symbol.value };
    }
    unit->start_count = count;
    qsort(unit->starts, count, sizeof *unit->starts, by_start);
    return E64_OK;
}

// The last of them in the section at or before the word; else the section's.
static uint64_t start_of(const struct relocating *now)
{
    const struct unit *unit = now->unit;
    const struct start word = { now->number, now->offset };
    uint32_t low = 0, high = unit->start_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_start(&unit->starts[middle], &word) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && unit->starts[low - 1].section == now->number
         ? unit->starts[low - 1].value : 0;
}

// A stub for a word that may be too narrow; which one is said in the end.
static e64_status note_far(struct relocating *now)
{
    struct edit *edit = now->edit;
    struct object_image *image = edit->image;
    if (!now->writing) {
        edit->far_room++;
        return E64_OK;
    }
    bool code = chunk_is_code(now->piece->chunk);
    e64_status status = now->unit->starts || !code
                      ? E64_OK : find_starts(edit, now->unit);
    if (status != E64_OK)
        return status;
    image->fars[image->far_count++] = (struct object_far){
        .place = now->P,
        .code = code ? now->piece->vaddr + start_of(now) : OBJECT_NOWHERE,
    };
    return E64_OK;
}

// What code that is not position-independent has 32 bits for in its tables: the
// personality routine in .eh_frame, which is only called, so that a jump to it
// does as well; and std::type_info of what a function catches (Itanium C++ ABI,
// 2.9), constants that are compared by their names, so that a copy does.
static bool is_for_unwinding(const struct relocating *now)
{
    return now->piece->chunk == CHUNK_FRAMES
        || now->piece->chunk == CHUNK_RELRO_FRAMES
        || (strncmp(now->section->name, ".gcc_except_table", 17) == 0
            && strncmp(now->symbol->name, "_ZTI", 4) == 0);
}

// A section that is relocated is no longer read-only: it goes to what is sealed
// afterwards. Code stays where it is.
static void unseal(struct relocating *now)
{
    struct piece *piece = now->piece;
    if (chunk_is_code(piece->chunk))
        now->edit->image->relocates_text = true;
    else if (piece->chunk == CHUNK_FRAMES)
        now->edit->frames_move = true;
    else if (chunk_is_readonly(piece->chunk))
        piece->chunk = CHUNK_RELRO;
    if (piece->named) {
        struct named *named = &now->edit->names[piece->named - 1];
        if (named->chunk < piece->chunk)
            named->chunk = piece->chunk;
    }
}

e64_status relocation_dynamic(struct relocating *now, uint32_t type,
                              bool symbol, uint64_t addend)
{
    struct edit *edit = now->edit;
    // Of these it is not known beforehand whether they are.
    bool relative = relocation_is_relative(type) && !now->ifunc
                 && !(now->symbol && symbol_is_unique(now->symbol));
    e64_status status = E64_OK;
    if (symbol && !now->symbol)
        now->symbol = edit_local(edit, now->unit, now->index);
    if (symbol && !now->symbol)
        return fail_memory(sizeof *now->symbol);
    if (!now->writing) {
        unseal(now);
        if (symbol)
            status = edit_import(edit, now->symbol);
        if (relative)
            edit->relative_count++;
        else
            edit->other_count++;
    } else {
        edit_dynamic(edit, relative, now->P, type,
                     symbol ? now->symbol->dynamic : 0, addend);
    }
    if (status != E64_OK || !symbol || !relocation_is_far(type))
        return status;
    if (is_for_unwinding(now))
        edit->image->relocates_text = true; // what is made lies with the stubs
    else if (!chunk_is_code(now->piece->chunk))
        return E64_OK;
    return note_far(now);
}

// What belongs to functions that another object has, too, may refer to them.
static bool may_dangle(const struct relocating *now)
{
    return now->piece->chunk == CHUNK_FRAMES
        || now->piece->chunk == CHUNK_RELRO_FRAMES
        || strncmp(now->section->name, ".gcc_except_table", 17) == 0;
}

// Of a symbol in a section that is not in the image.
static e64_status check_loaded(struct relocating *now, uint32_t section,
                               bool *skip)
{
    const struct piece *piece = &now->unit->pieces[section];
    if (piece_is_loaded(piece))
        return E64_OK;
    *skip = piece->dropped && may_dangle(now);
    if (*skip)
        return E64_OK;
    return relocation_bad(now, E64_BADFORMAT, piece->dropped
                          ? "refers to what is not linked, as another object "
                            "has the same group of sections"
                          : "refers to a section that is not loaded");
}

static e64_status find_local(struct relocating *now, bool *skip)
{
    const struct unit *unit = now->unit;
    struct elf_symbol read = elf_relocatable_symbol(&unit->read, now->index);
    now->symbol = unit->symbols[now->index];
    now->S = read.value;
    now->Z = read.size;
    now->where = WHERE_FIXED;
    if (read.section >= unit->read.section_count || read.section == 0)
        return E64_OK;
    e64_status status = check_loaded(now, read.section, skip);
    bool storage = unit->read.sections[read.section].flags & SHF_TLS;
    now->where = storage ? WHERE_STORAGE : WHERE_IMAGE;
    now->ifunc = read.type == STT_GNU_IFUNC;
    now->S += unit->pieces[read.section].vaddr;
    if (storage)
        now->S -= now->edit->tls_start;
    return status;
}

static e64_status find_global(struct relocating *now, bool *skip)
{
    struct symbol *symbol = now->unit->symbols[now->index];
    now->symbol = symbol;
    now->Z = symbol->size;
    now->S = 0;
    now->where = symbol->place == PLACE_NONE ? WHERE_IMPORT
               : symbol->place == PLACE_FIXED ? WHERE_FIXED
               : symbol_is_tls(symbol) ? WHERE_STORAGE : WHERE_IMAGE;
    now->ifunc = symbol_is_ifunc(symbol);
    if (now->where == WHERE_IMPORT)
        return E64_OK;
    now->S = edit_address(now->edit, symbol);
    if (symbol->place == PLACE_SECTION && symbol->unit == now->unit)
        return check_loaded(now, symbol->section, skip);
    if (symbol->place == PLACE_SECTION
        && !piece_is_loaded(&symbol->unit->pieces[symbol->section]))
        return relocation_bad(now, E64_BADFORMAT, "refers to a section that "
                              "is not loaded");
    return E64_OK;
}

static e64_status relocate_one(struct relocating *now, Elf64_Rela rela)
{
    bool skip = false;
    now->type = ELF64_R_TYPE(rela.r_info);
    now->index = (uint32_t)ELF64_R_SYM(rela.r_info);
    now->offset = rela.r_offset;
    now->A = (uint64_t)rela.r_addend;
    now->ifunc = false;
    uint32_t width = edit_type_width(now->type);
    if (relocation_is_none(now->type))
        return E64_OK;
    if (now->section->size < width
        || now->offset > now->section->size - width)
        return relocation_bad(now, E64_BADFORMAT, "does not end inside of its "
                              "section");
    // What follows the end of .eh_frame is not there.
    if (now->offset + width > now->piece->size)
        return E64_OK;
    if (now->piece->reversed) {
        if (now->offset % 8 || width != 8)
            return relocation_bad(now, E64_BADFORMAT, "is none of a "
                                  "constructor's address");
        now->offset = now->piece->size - 8 - now->offset;
    }
    now->P = now->piece->vaddr + now->offset;
    now->symbol = NULL;
    now->where = WHERE_FIXED;
    now->S = now->Z = 0;
    e64_status status = !now->index ? E64_OK
                      : now->index < now->unit->read.local_count
                      ? find_local(now, &skip)
                      : now->unit->symbols[now->index]
                      ? find_global(now, &skip)
                      : relocation_bad(now, E64_BADFORMAT, "is for a global "
                                       "symbol without a name");
    return status != E64_OK || skip ? status : relocation_do(now);
}

static e64_status relocate_section(struct edit *edit, struct unit *unit,
                                   uint32_t number, bool writing)
{
    const struct elf_section *section = &unit->read.sections[number];
    struct piece *piece = &unit->pieces[number];
    struct relocating now = {
        .edit = edit, .unit = unit, .section = section, .piece = piece,
        .number = number, .input = section->bytes.data, .writing = writing,
        .output = writing ? edit_at(edit, piece->vaddr) : NULL,
    };
    uint32_t count = elf_rela_count(section);
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < count; i++)
        status = relocate_one(&now, elf_rela(section, i));
    return status;
}

e64_status edit_scan(struct edit *edit)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; i < edit->unit_count; i++) {
        struct unit *unit = edit->units[i];
        for (uint32_t j = 1; status == E64_OK && j < unit->read.section_count;
             j++)
            if (piece_is_loaded(&unit->pieces[j])
                && unit->read.sections[j].rela.size)
                status = relocate_section(edit, unit, j, false);
    }
    if (status == E64_OK && edit->far_room) {
        edit->image->fars = memory_array(edit->far_room,
                                         sizeof *edit->image->fars);
        if (!edit->image->fars)
            status = fail_memory(edit->far_room * sizeof *edit->image->fars);
    }
    return status;
}

// The bytes of a section.
static void copy(struct edit *edit, const struct item *item)
{
    const struct elf_section *section
        = &item->unit->read.sections[item->section];
    const struct piece *piece = &item->unit->pieces[item->section];
    uint8_t *to = edit_at(edit, piece->vaddr);
    if (chunk_is_nobits(piece->chunk) || section->type == SHT_NOBITS)
        return;
    if (!piece->reversed) {
        memcpy(to, section->bytes.data, piece->size);
        return;
    }
    for (uint64_t at = 0; at < piece->size; at += 8)
        memcpy(to + piece->size - 8 - at, section->bytes.data + at, 8);
}

static int by_place(const void *a, const void *b)
{
    const struct object_far *one = a, *other = b;
    return one->place < other->place ? -1 : one->place > other->place;
}

e64_status edit_relocate(struct edit *edit)
{
    struct object_image *image = edit->image;
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < edit->first_item[CHUNKS];
         i++) {
        const struct item *item = &edit->items[i];
        copy(edit, item);
        if (item->unit->pieces[item->section].chunk == edit_frames(edit))
            edit_silence_frames(edit, item);
        if (item->unit->read.sections[item->section].rela.size)
            status = relocate_section(edit, item->unit, item->section, true);
    }
    if (status != E64_OK || !image->far_count)
        return status;
    qsort(image->fars, image->far_count, sizeof *image->fars, by_place);
    for (uint32_t i = 0; i < image->far_count; i++)
        image->fars[i].stub = edit->chunks[CHUNK_STUBS].vaddr
                            + (uint64_t)i * OBJECT_STUB_SIZE;
    return E64_OK;
}
