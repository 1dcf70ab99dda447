// .eh_frame and the sorted table of it, by which the unwinder finds what it
// needs (LSB, "Exception Frames"). What belongs to functions that another
// object has, too, is made to cover nothing.

#include <stdlib.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// How an address is written (DWARF's DW_EH_PE_*).
enum {
    AS_POINTER = 0x00, AS_UDATA2 = 0x02, AS_UDATA4 = 0x03, AS_UDATA8 = 0x04,
    AS_SDATA2 = 0x0a, AS_SDATA4 = 0x0b, AS_SDATA8 = 0x0c, AS_FORMAT = 0x0f,
    FROM_PLACE = 0x10, FROM = 0x70, ALIGNED = 0x50,
    FROM_TABLE_AS_SDATA4 = 0x3b, FROM_PLACE_AS_SDATA4 = 0x1b,
};

// A record: a CIE, or the FDE of a function, which names its CIE.
struct record {
    uint64_t start, end; // in the section
    uint64_t body;       // what follows its length and CIE pointer
    uint64_t cie;        // of an FDE; a CIE has its own start
    bool is_cie;
};

// The record at an offset; NULL, or what is wrong with it. Its start is its end
// where the section ends or has its terminator.
static const char *read_record(struct view frames, uint64_t at,
                               struct record *record)
{
    uint32_t length, id;
    *record = (struct record){ .start = at, .end = at };
    if (at == frames.size)
        return NULL;
    if (!view_read(frames, at, &length, sizeof length))
        return "ends within the length of a record";
    if (length == 0)
        return NULL;
    if (length == UINT32_MAX)
        return "has a record of 4 GB and more";
    if (!view_has(frames, at + 4, length)
        || !view_read(frames, at + 4, &id, sizeof id) || length < 4)
        return "has a record that does not end inside of it";
    record->end = at + 4 + length;
    record->body = at + 8;
    record->is_cie = id == 0;
    record->cie = id == 0 ? at : at + 4 - id;
    if (id > at + 4)
        return "has a record whose CIE lies before it";
    return NULL;
}

e64_status edit_scan_frames(struct edit *edit, struct unit *unit,
                            uint32_t section)
{
    const struct view frames = unit->read.sections[section].bytes;
    struct record record;
    uint64_t at = 0;
    for (;;) {
        const char *wrong = read_record(frames, at, &record);
        if (wrong)
            return edit_bad(unit, section, E64_BADFORMAT, "%s", wrong);
        if (record.end == at)
            break;
        edit->frame_count += !record.is_cie;
        at = record.end;
    }
    unit->pieces[section].size = at;
    return E64_OK;
}

// A number of DWARF's, which has ten bytes at most where it is one of 64 bits.
static bool skip_leb(struct view frames, uint64_t *at)
{
    uint8_t byte = 0x80;
    for (int i = 0; byte & 0x80; i++)
        if (i == 10 || !view_read(frames, (*at)++, &byte, 1))
            return false;
    return true;
}

static uint32_t width_of(uint8_t encoding)
{
    switch (encoding & AS_FORMAT) {
    case AS_UDATA2: case AS_SDATA2: return 2;
    case AS_UDATA4: case AS_SDATA4: return 4;
    case AS_POINTER: case AS_UDATA8: case AS_SDATA8: return 8;
    }
    return 0;
}

// Past the personality routine, which comes before what is wanted.
static bool skip_personality(struct view frames, uint64_t *at)
{
    uint8_t encoding;
    if (!view_read(frames, (*at)++, &encoding, 1)
        || (encoding & FROM) == ALIGNED || !width_of(encoding))
        return false;
    *at += width_of(encoding);
    return true;
}

// The letters that say what a CIE has, or NULL. There are six of them; a long
// text would be read again for each FDE.
static const char *read_letters(struct view frames, uint64_t at)
{
    enum { MOST_LETTERS = 16 };
    struct view text;
    uint64_t size = at < frames.size ? frames.size - at : 0;
    return view_part(frames, at, size < MOST_LETTERS ? size : MOST_LETTERS,
                     &text) ? view_string(text, 0) : NULL;
}

// How the FDEs of a CIE write addresses.
static bool read_encoding(struct view frames, uint64_t cie, uint8_t *encoding)
{
    uint64_t at = cie + 8;
    uint8_t version;
    const char *letters;
    *encoding = AS_POINTER;
    if (!view_read(frames, at++, &version, 1)
        || !(letters = read_letters(frames, at)))
        return false;
    at += strlen(letters) + 1 + (version >= 4 ? 2 : 0);
    if (*letters != 'z')
        return *letters == '\0';
    if (!skip_leb(frames, &at) || !skip_leb(frames, &at))
        return false;
    // The column of the return address.
    if (version == 1)
        at++;
    else if (!skip_leb(frames, &at))
        return false;
    if (!skip_leb(frames, &at))
        return false;
    for (letters++; *letters; letters++) {
        if (*letters == 'R')
            return view_read(frames, at, encoding, 1) && width_of(*encoding);
        if (*letters == 'P' && !skip_personality(frames, &at))
            return false;
        if (*letters == 'L')
            at++;
    }
    return true;
}

// Is what a relocation refers to of a group that another object has?
static bool is_dropped(const struct unit *unit, uint32_t index)
{
    uint32_t section = elf_relocatable_symbol(&unit->read, index).section;
    return section < unit->read.section_count
        && unit->pieces[section].dropped;
}

// The bytes of a piece in the image.
static struct view bytes_of(const struct edit *edit, const struct piece *piece)
{
    return (struct view){ edit_at(edit, piece->vaddr), piece->size };
}

// Of those that begin at a dropped function the length becomes 0. Assemblers
// write relocations in the order of their places.
void edit_silence_frames(struct edit *edit, const struct item *item)
{
    const struct unit *unit = item->unit;
    const struct elf_section *section = &unit->read.sections[item->section];
    const struct piece *piece = &unit->pieces[item->section];
    struct view frames = bytes_of(edit, piece);
    uint32_t next = 0, count = elf_rela_count(section);
    struct record record;
    for (uint64_t at = 0; at < frames.size; at = record.end) {
        uint8_t encoding;
        if (read_record(frames, at, &record) || record.end == at)
            return;
        if (record.is_cie)
            continue;
        while (next < count && elf_rela(section, next).r_offset < record.body)
            next++;
        if (next == count)
            return;
        if (elf_rela(section, next).r_offset != record.body
            || !is_dropped(unit, (uint32_t)ELF64_R_SYM(
                               elf_rela(section, next).r_info))
            || !read_encoding(frames, record.cie, &encoding))
            continue;
        uint32_t width = width_of(encoding);
        if (record.end - record.body >= 2 * width)
            memset(edit_at(edit, piece->vaddr + record.body + width), 0,
                   width);
    }
}

// A row of the table: both are offsets from the table.
struct row {
    int32_t function, record;
};

struct index {
    struct edit *edit;
    struct row *rows;
    uint64_t count;
};

static uint64_t load(const uint8_t *at, uint8_t encoding)
{
    switch (encoding & AS_FORMAT) {
    case AS_UDATA2: return load16(at);
    case AS_SDATA2: return (uint64_t)(int64_t)(int16_t)load16(at);
    case AS_UDATA4: return load32(at);
    case AS_SDATA4: return (uint64_t)(int64_t)(int32_t)load32(at);
    }
    return load64(at);
}

static e64_status add(struct index *index, const struct item *item,
                      const struct record *record, uint8_t encoding)
{
    const struct piece *piece = &item->unit->pieces[item->section];
    struct view frames = bytes_of(index->edit, piece);
    uint32_t width = width_of(encoding);
    if (record->end - record->body < 2 * width)
        return edit_bad(item->unit, item->section, E64_BADFORMAT, "has a "
                        "record that is too short for its addresses");
    const uint8_t *field = frames.data + record->body;
    // How long its code is has the same format, and is no address.
    if (load(field + width, encoding) == 0)
        return E64_OK;
    uint64_t function = load(field, encoding);
    if ((encoding & FROM) == FROM_PLACE)
        function += piece->vaddr + record->body;
    else if (encoding & FROM)
        return edit_bad(item->unit, item->section, E64_UNSUPPORTED, "writes "
                        "addresses as 0x%x (DW_EH_PE_*), which only those "
                        "of place or of none do", encoding);
    // Room was made for what was there before it was relocated.
    if (index->count == index->edit->frame_count)
        return edit_bad(item->unit, item->section, E64_BADFORMAT, "has "
                        "relocations that make records of what is none");
    uint64_t table = index->edit->chunks[CHUNK_FRAME_INDEX].vaddr;
    index->rows[index->count++] = (struct row){
        (int32_t)(function - table),
        (int32_t)(piece->vaddr + record->start - table),
    };
    return E64_OK;
}

static e64_status add_all(struct index *index, const struct item *item)
{
    struct view frames = bytes_of(index->edit,
                                  &item->unit->pieces[item->section]);
    uint64_t known = UINT64_MAX;
    uint8_t encoding = 0;
    struct record record;
    e64_status status = E64_OK;
    for (uint64_t at = 0; status == E64_OK && at < frames.size;
         at = record.end) {
        if (read_record(frames, at, &record) || record.end == at)
            break;
        if (record.is_cie)
            continue;
        if (record.cie != known
            && !read_encoding(frames, record.cie, &encoding))
            return edit_bad(item->unit, item->section, E64_UNSUPPORTED,
                            "has a CIE of a kind that is not known here");
        known = record.cie;
        status = add(index, item, &record, encoding);
    }
    return status;
}

static int by_function(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    return one->function < other->function ? -1
         : one->function > other->function;
}

e64_status edit_write_frame_index(struct edit *edit)
{
    const struct chunk_range *range = &edit->chunks[CHUNK_FRAME_INDEX];
    enum chunk frames = edit_frames(edit);
    struct index index = { edit, NULL, 0 };
    e64_status status = E64_OK;
    if (!range->size)
        return E64_OK;
    uint8_t *table = edit_at(edit, range->vaddr);
    index.rows = (struct row *)(void *)(table + 12);
    for (uint32_t i = edit->first_item[frames];
         status == E64_OK && i < edit->first_item[frames + 1]; i++)
        status = add_all(&index, &edit->items[i]);
    if (status != E64_OK)
        return status;
    qsort(index.rows, index.count, sizeof *index.rows, by_function);
    uint64_t from = range->vaddr + 4;
    uint32_t head[2] = { (uint32_t)(edit->chunks[frames].vaddr - from),
                         (uint32_t)index.count };
    table[0] = 1;
    table[1] = FROM_PLACE_AS_SDATA4;
    table[2] = AS_UDATA4;
    table[3] = FROM_TABLE_AS_SDATA4;
    memcpy(table + 4, head, sizeof head);
    return E64_OK;
}
