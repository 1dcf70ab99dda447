// The GOT and the PLT (psABI 5.2, "Dynamic Linking").

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// The first words of the GOT's part for the PLT are the dynamic section and two
// for whoever binds lazily.
enum { RESERVED_WORDS = 3, ENTRY_SIZE = 16 };

// Whose address is not known here.
static bool is_foreign(const struct symbol *symbol)
{
    return symbol->place == PLACE_NONE
        || (symbol_is_unique(symbol) && !symbol->direct);
}

e64_status edit_need_slot(struct edit *edit, struct symbol *symbol,
                          enum slot_kind kind, uint32_t *number)
{
    if (*number)
        return E64_OK;
    e64_status status = memory_grow(&edit->slots, edit->slot_count,
                                    &edit->slot_room, sizeof *edit->slots);
    if (status == E64_OK && symbol && symbol->place == PLACE_NONE)
        status = edit_import(edit, symbol);
    if (status != E64_OK)
        return status;
    edit->slots[edit->slot_count++] = (struct slot){ symbol, edit->slot_words,
                                                     (uint8_t)kind };
    edit->slot_words += kind == SLOT_PAIR || kind == SLOT_MODULE
                     || kind == SLOT_DESCRIPTOR ? 2 : 1;
    *number = edit->slot_count;
    return E64_OK;
}

// What others define may be bound lazily; an own IFUNC, or what has a fixed
// address, has a slot of the GOT.
e64_status edit_need_call(struct edit *edit, struct symbol *symbol)
{
    e64_status status = E64_OK;
    if (symbol->plt)
        return E64_OK;
    status = memory_grow(&edit->calls, edit->call_count, &edit->call_room,
                         sizeof *edit->calls);
    if (status != E64_OK)
        return status;
    if (symbol->place == PLACE_NONE) {
        edit->lazy_count++;
        status = edit_import(edit, symbol);
    } else if (symbol_is_ifunc(symbol)) {
        status = edit_need_slot(edit, symbol, SLOT_RESOLVED,
                                &symbol->resolved_slot);
    } else {
        status = edit_need_slot(edit, symbol, SLOT_ADDRESS,
                                &symbol->address_slot);
    }
    if (status != E64_OK)
        return status;
    edit->calls[edit->call_count++] = symbol;
    symbol->plt = edit->call_count;
    return E64_OK;
}

uint64_t edit_got_base(const struct edit *edit)
{
    return edit->chunks[CHUNK_GOT_PLT].vaddr;
}

uint64_t edit_slot_address(const struct edit *edit, uint32_t number)
{
    return edit->chunks[CHUNK_GOT].vaddr
         + 8 * (uint64_t)edit->slots[number - 1].word;
}

// The first entry is for what the others have in common.
uint64_t edit_call_address(const struct edit *edit, uint32_t number)
{
    return edit->chunks[CHUNK_PLT].vaddr + ENTRY_SIZE * (uint64_t)number;
}

void edit_size_got(struct edit *edit)
{
    for (uint32_t i = 0; i < edit->slot_count; i++) {
        const struct symbol *symbol = edit->slots[i].symbol;
        switch ((enum slot_kind)edit->slots[i].kind) {
        case SLOT_ADDRESS:
            if (is_foreign(symbol) || symbol_is_ifunc(symbol))
                edit->other_count++;
            else if (symbol->place != PLACE_FIXED)
                edit->relative_count++;
            break;
        case SLOT_PAIR:
            edit->other_count += symbol->place == PLACE_NONE ? 2 : 1;
            break;
        default:
            edit->other_count++;
            break;
        }
    }
    edit->chunks[CHUNK_GOT].size = 8 * (uint64_t)edit->slot_words;
    if (edit->lazy_count || edit->uses_got_base)
        edit->chunks[CHUNK_GOT_PLT].size
            = 8 * ((uint64_t)edit->lazy_count + RESERVED_WORDS);
    if (edit->call_count)
        edit->chunks[CHUNK_PLT].size
            = ENTRY_SIZE * ((uint64_t)edit->call_count + 1);
}

static void write_word(const struct edit *edit, uint64_t place, uint64_t value)
{
    memcpy(edit_at(edit, place), &value, sizeof value);
}

static void write_address(struct edit *edit, uint64_t place,
                          const struct symbol *symbol)
{
    uint64_t address = edit_address(edit, symbol);
    if (is_foreign(symbol)) {
        edit_dynamic(edit, false, place, R_X86_64_GLOB_DAT, symbol->dynamic,
                     0);
    } else if (symbol_is_ifunc(symbol) && symbol->direct) {
        address = edit_call_address(edit, symbol->plt);
        write_word(edit, place, address);
        edit_dynamic(edit, false, place, R_X86_64_RELATIVE, 0, address);
    } else if (symbol_is_ifunc(symbol)) {
        edit_dynamic(edit, false, place, R_X86_64_IRELATIVE, 0, address);
    } else {
        write_word(edit, place, address);
        if (symbol->place != PLACE_FIXED)
            edit_dynamic(edit, true, place, R_X86_64_RELATIVE, 0, address);
    }
}

// Of what is thread-local.
static void write_storage(struct edit *edit, uint64_t place,
                          const struct slot *slot)
{
    const struct symbol *symbol = slot->symbol;
    bool import = symbol && symbol->place == PLACE_NONE;
    uint32_t index = import ? symbol->dynamic : 0;
    uint64_t offset = symbol && !import ? edit_address(edit, symbol) : 0;
    switch ((enum slot_kind)slot->kind) {
    case SLOT_PAIR:
    case SLOT_MODULE:
        edit_dynamic(edit, false, place, R_X86_64_DTPMOD64, index, 0);
        if (import)
            edit_dynamic(edit, false, place + 8, R_X86_64_DTPOFF64, index, 0);
        else
            write_word(edit, place + 8, offset);
        break;
    case SLOT_OFFSET:
        edit_dynamic(edit, false, place, R_X86_64_TPOFF64, index, offset);
        break;
    case SLOT_DESCRIPTOR:
        edit_dynamic(edit, false, place, R_X86_64_TLSDESC, index, offset);
        break;
    case SLOT_ADDRESS:
    case SLOT_RESOLVED:
        break;
    }
}

static void write_code(const struct edit *edit, uint64_t vaddr,
                       const uint8_t *code, size_t size)
{
    memcpy(edit_at(edit, vaddr), code, size);
}

// A displacement, which counts from its end.
static void write_distance(const struct edit *edit, uint64_t place,
                           uint64_t target)
{
    uint32_t distance = (uint32_t)(target - (place + 4));
    memcpy(edit_at(edit, place), &distance, sizeof distance);
}

static void write_first_entry(const struct edit *edit)
{
    static const uint8_t code[ENTRY_SIZE] = {
        0xff, 0x35, 0, 0, 0, 0, // push GOT+8(%rip)
        0xff, 0x25, 0, 0, 0, 0, // jmp *GOT+16(%rip)
        0x0f, 0x1f, 0x40, 0x00, // nop
    };
    uint64_t entry = edit->chunks[CHUNK_PLT].vaddr;
    write_code(edit, entry, code, sizeof code);
    write_distance(edit, entry + 2, edit_got_base(edit) + 8);
    write_distance(edit, entry + 8, edit_got_base(edit) + 16);
}

// Bound or not, it jumps to where its slot points.
static void write_lazy_entry(struct edit *edit, const struct symbol *symbol,
                             uint32_t number)
{
    static const uint8_t code[ENTRY_SIZE] = {
        0xff, 0x25, 0, 0, 0, 0, // jmp *slot(%rip)
        0x68, 0, 0, 0, 0,       // push number
        0xe9, 0, 0, 0, 0,       // jmp the first entry
    };
    uint64_t entry = edit_call_address(edit, symbol->plt);
    uint64_t slot = edit_got_base(edit)
                  + 8 * ((uint64_t)number + RESERVED_WORDS);
    write_code(edit, entry, code, sizeof code);
    write_distance(edit, entry + 2, slot);
    memcpy(edit_at(edit, entry + 7), &number, sizeof number);
    write_distance(edit, entry + 12, edit->chunks[CHUNK_PLT].vaddr);
    write_word(edit, slot, entry + 6);
    edit_dynamic_call(edit, slot, R_X86_64_JUMP_SLOT, symbol->dynamic);
}

static void write_entry(const struct edit *edit, const struct symbol *symbol)
{
    static const uint8_t code[ENTRY_SIZE] = {
        0xff, 0x25, 0, 0, 0, 0, // jmp *slot(%rip)
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    };
    uint64_t entry = edit_call_address(edit, symbol->plt);
    write_code(edit, entry, code, sizeof code);
    write_distance(edit, entry + 2, edit_slot_address(edit,
                       symbol->resolved_slot ? symbol->resolved_slot
                                             : symbol->address_slot));
}

void edit_write_got(struct edit *edit)
{
    uint32_t lazy = 0;
    for (uint32_t i = 0; i < edit->slot_count; i++) {
        const struct slot *slot = &edit->slots[i];
        uint64_t place = edit_slot_address(edit, i + 1);
        if (slot->kind == SLOT_ADDRESS)
            write_address(edit, place, slot->symbol);
        else if (slot->kind == SLOT_RESOLVED)
            edit_dynamic(edit, false, place, R_X86_64_IRELATIVE, 0,
                         edit_address(edit, slot->symbol));
        else
            write_storage(edit, place, slot);
    }
    if (edit->chunks[CHUNK_GOT_PLT].size)
        write_word(edit, edit_got_base(edit),
                   edit->chunks[CHUNK_DYNAMIC].vaddr);
    if (edit->lazy_count)
        write_first_entry(edit);
    for (uint32_t i = 0; i < edit->call_count; i++) {
        if (edit->calls[i]->place == PLACE_NONE)
            write_lazy_entry(edit, edit->calls[i], lazy++);
        else
            write_entry(edit, edit->calls[i]);
    }
}

void edit_frame_code(uint8_t *start, uint8_t *end)
{
    static const uint8_t before[FRAMING_SIZE] = {
        0xf3, 0x0f, 0x1e, 0xfa, // endbr64
        0x48, 0x83, 0xec, 0x08, // sub $8, %rsp
    };
    static const uint8_t after[] = {
        0x48, 0x83, 0xc4, 0x08, // add $8, %rsp
        0xc3,                   // ret
    };
    memset(start, 0x90, (size_t)(end - start));
    memcpy(start, before, sizeof before);
    memcpy(end - sizeof after, after, sizeof after);
}
