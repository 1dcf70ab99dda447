// Gives everything its place in the image. Segments begin on pages of their
// own, and what is in the file is there at the offset that is its vaddr.

#include <stdlib.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// More than any sane image, and little enough that sums stay in range.
static const uint64_t MOST_MEMORY = 1ull << 40, MOST_FILE = 1ull << 31;

static uint64_t up(uint64_t value, uint64_t align)
{
    return align ? (value + align - 1) & ~(align - 1) : value;
}

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

// What the scan has found out about a piece's name or kind.
static void settle(const struct edit *edit, struct piece *piece)
{
    if (piece->chunk == CHUNK_FRAMES)
        piece->chunk = (uint8_t)edit_frames(edit);
    else if (piece->named)
        piece->chunk = edit->names[piece->named - 1].chunk;
}

static int by_order(const void *a, const void *b)
{
    const struct item *one = a, *other = b;
    if (one->order != other->order)
        return one->order < other->order ? -1 : 1;
    return one->number < other->number ? -1 : one->number > other->number;
}

// All pieces by chunk, in link order but where names and priorities say.
static e64_status gather(struct edit *edit)
{
    uint32_t counts[CHUNKS + 1] = { 0 }, sum = 0;
    for (uint32_t i = 0; i < edit->unit_count; i++) {
        const struct unit *unit = edit->units[i];
        for (uint32_t j = 1; j < unit->read.section_count; j++) {
            settle(edit, &unit->pieces[j]);
            counts[unit->pieces[j].chunk]++;
        }
    }
    counts[CHUNK_NONE] = 0;
    for (uint32_t i = 0; i <= CHUNKS; i++) {
        edit->first_item[i] = sum;
        sum += counts[i];
        counts[i] = edit->first_item[i];
    }
    edit->items = edit_new(edit, (sum + 1) * sizeof *edit->items);
    if (!edit->items)
        return fail_memory(sum * sizeof *edit->items);
    for (uint32_t i = 0; i < edit->unit_count; i++) {
        struct unit *unit = edit->units[i];
        for (uint32_t j = 1; j < unit->read.section_count; j++) {
            const struct piece *piece = &unit->pieces[j];
            if (!piece_is_loaded(piece))
                continue;
            uint32_t at = counts[piece->chunk]++;
            edit->items[at] = (struct item){
                unit, j, piece->order ? piece->order : piece->named, at };
        }
    }
    for (uint32_t i = 0; i < CHUNKS; i++) {
        uint32_t count = edit->first_item[i + 1] - edit->first_item[i];
        if (edit->name_count || i == CHUNK_INITS || i == CHUNK_FINIS)
            qsort(edit->items + edit->first_item[i], count,
                  sizeof *edit->items, by_order);
    }
    return E64_OK;
}

static void take(struct edit *edit, enum chunk chunk, uint64_t align,
                 uint64_t size, uint64_t *at)
{
    struct chunk_range *range = &edit->chunks[chunk];
    if (align > range->align)
        range->align = align;
    *at = up(range->size, align);
    range->size = *at + size;
    if (range->size > MOST_MEMORY) {
        edit->too_large = true;
        range->size = 0;
    }
}

// Their offsets in their chunks. Frames follow one another without a gap, which
// would be the end of them.
static void measure_pieces(struct edit *edit)
{
    edit->chunks[CHUNK_PROPERTIES].size = edit_properties_size(edit);
    for (uint32_t i = 0; i < edit->first_item[CHUNKS]; i++) {
        const struct item *item = &edit->items[i];
        struct piece *piece = &item->unit->pieces[item->section];
        bool frames = piece->chunk == edit_frames(edit);
        uint64_t align = item->unit->read.sections[item->section].align;
        if ((piece->chunk == CHUNK_INIT || piece->chunk == CHUNK_FINI)
            && edit->chunks[piece->chunk].size == 0)
            edit->chunks[piece->chunk].size = FRAMING_SIZE;
        take(edit, piece->chunk, frames ? 1 : align, piece->size,
             &piece->vaddr);
    }
    edit->chunks[edit_frames(edit)].align = 8;
    for (enum chunk i = CHUNK_INIT; i <= CHUNK_FINI; i++)
        if (edit->chunks[i].size)
            edit->chunks[i].size += FRAMING_SIZE;
}

static void measure_common(struct edit *edit)
{
    for (uint32_t i = 0; i < edit->bucket_count; i++)
        for (struct symbol *symbol = edit->buckets[i]; symbol;
             symbol = symbol->next)
            if (symbol->place == PLACE_COMMON)
                take(edit, edit_chunk(edit, symbol),
                     symbol->value ? symbol->value : 1, symbol->size,
                     &symbol->address);
}

// What is made here, and not by the objects.
static void measure_tables(struct edit *edit)
{
    struct chunk_range *chunks = edit->chunks;
    edit_size_got(edit);
    chunks[CHUNK_HEADERS].size = edit_headers_size();
    chunks[CHUNK_HASH].size = 16 + 8 * (uint64_t)edit->words_of_hash
        + 4 * ((uint64_t)edit->buckets_of_hash + edit->dynamic_count
               - edit->first_exported);
    chunks[CHUNK_SYMBOLS].size = edit->dynamic_count * sizeof(Elf64_Sym);
    chunks[CHUNK_STRINGS].size = edit->strings_size;
    chunks[CHUNK_RELA].size = (edit->relative_count + edit->other_count)
                            * sizeof(Elf64_Rela);
    chunks[CHUNK_JMPREL].size = edit->lazy_count * sizeof(Elf64_Rela);
    chunks[CHUNK_DYNAMIC].size = edit_dynamic_size();
    if (edit->frame_count)
        chunks[CHUNK_FRAME_INDEX].size = 12 + 8 * edit->frame_count;
    chunks[CHUNK_STUBS].size = (uint64_t)edit->far_room * OBJECT_STUB_SIZE;
    chunks[CHUNK_PLT].align = chunks[CHUNK_STUBS].align = 16;
    for (enum chunk i = CHUNK_HEADERS; i < CHUNKS; i++)
        if (chunks[i].align < 8
            && (edit->first_item[i] == edit->first_item[i + 1]
                || chunks[i].align == 0))
            chunks[i].align = i == CHUNK_STRINGS || chunk_is_nobits(i) ? 1 : 8;
}

static bool begins_segment(enum chunk chunk)
{
    return chunk == FIRST_OF_CODE || chunk == FIRST_OF_RELRO
        || chunk == FIRST_OF_DATA;
}

// The largest alignment of what follows up to the next segment's beginning.
static uint64_t align_of(const struct edit *edit, enum chunk chunk)
{
    uint64_t align = page_size();
    enum chunk end = chunk == CHUNK_HEADERS ? FIRST_OF_CODE
                   : chunk == FIRST_OF_CODE ? FIRST_OF_RELRO : CHUNKS;
    for (; chunk < end; chunk++)
        if (edit->chunks[chunk].align > align)
            align = edit->chunks[chunk].align;
    return align;
}

// Thread-local variables: a block of its own, whose part that is zero follows
// what the file has of it and takes no room in the image.
static void place_storage(struct edit *edit, uint64_t *at)
{
    struct chunk_range *data = &edit->chunks[CHUNK_TDATA];
    struct chunk_range *zero = &edit->chunks[CHUNK_TBSS];
    edit->tls_align = data->align > zero->align ? data->align : zero->align;
    *at = up(*at, edit->tls_align);
    edit->tls_start = data->vaddr = *at;
    *at += data->size;
    zero->vaddr = up(*at, zero->align);
    edit->tls_size = zero->size ? zero->vaddr + zero->size - edit->tls_start
                                : data->size;
}

static void place_chunks(struct edit *edit)
{
    uint64_t at = 0;
    for (enum chunk i = CHUNK_HEADERS; i < CHUNKS; i++) {
        struct chunk_range *range = &edit->chunks[i];
        if (begins_segment(i))
            at = up(at, i == FIRST_OF_DATA ? page_size() : align_of(edit, i));
        if (i == FIRST_OF_BSS)
            edit->loaded_size = at;
        if (i == CHUNK_TDATA) {
            place_storage(edit, &at);
            i = CHUNK_TBSS;
            continue;
        }
        at = up(at, range->align);
        range->vaddr = at;
        at += range->size;
    }
}

static void place_pieces(struct edit *edit)
{
    for (uint32_t i = 0; i < edit->first_item[CHUNKS]; i++) {
        const struct item *item = &edit->items[i];
        struct piece *piece = &item->unit->pieces[item->section];
        piece->vaddr += edit->chunks[piece->chunk].vaddr;
        if (!piece->named)
            continue;
        struct named *named = &edit->names[piece->named - 1];
        if (!named->end)
            named->start = piece->vaddr;
        named->end = piece->vaddr + piece->size;
    }
    for (uint32_t i = 0; i < edit->bucket_count; i++)
        for (struct symbol *symbol = edit->buckets[i]; symbol;
             symbol = symbol->next)
            if (symbol->place == PLACE_COMMON)
                symbol->address += edit->chunks[edit_chunk(edit, symbol)].vaddr
                    - (symbol_is_tls(symbol) ? edit->tls_start : 0);
}

e64_status edit_lay_out(struct edit *edit)
{
    e64_status status = gather(edit);
    if (status != E64_OK)
        return status;
    measure_pieces(edit);
    measure_common(edit);
    measure_tables(edit);
    place_chunks(edit);
    const struct chunk_range *last = &edit->chunks[CHUNKS - 1];
    if (edit->too_large || edit->loaded_size > MOST_FILE
        || last->vaddr + last->size > MOST_MEMORY) {
        fail(E64_UNSUPPORTED, "%s: would take more than %llu bytes of a file, "
             "or %llu of memory", edit->name, (unsigned long long)MOST_FILE,
             (unsigned long long)MOST_MEMORY);
        error_path(edit->name);
        return E64_UNSUPPORTED;
    }
    place_pieces(edit);
    edit_count_statics(edit);
    return E64_OK;
}

uint64_t edit_address(const struct edit *edit, const struct symbol *symbol)
{
    const struct chunk_range *range = &edit->chunks[symbol->section % CHUNKS];
    const uint64_t block = symbol_is_tls(symbol) ? edit->tls_start : 0;
    switch ((enum place)symbol->place) {
    case PLACE_NONE: return 0;
    case PLACE_FIXED: return symbol->value;
    case PLACE_COMMON: return symbol->address;
    case PLACE_START: return range->vaddr - block;
    case PLACE_END: return range->vaddr + range->size;
    case PLACE_NAMED_START: return edit->names[symbol->section].start;
    case PLACE_NAMED_END: return edit->names[symbol->section].end;
    case PLACE_SECTION: break;
    }
    return symbol->unit->pieces[symbol->section].vaddr + symbol->value - block;
}

enum chunk edit_chunk(const struct edit *edit, const struct symbol *symbol)
{
    switch ((enum place)symbol->place) {
    case PLACE_COMMON:
        return symbol_is_tls(symbol) ? CHUNK_TBSS : CHUNK_BSS;
    case PLACE_SECTION:
        return symbol->unit->pieces[symbol->section].chunk;
    case PLACE_START:
    case PLACE_END:
        return (enum chunk)symbol->section;
    case PLACE_NAMED_START:
    case PLACE_NAMED_END:
        return edit->names[symbol->section].chunk;
    case PLACE_NONE:
    case PLACE_FIXED:
        break;
    }
    return CHUNK_NONE;
}
