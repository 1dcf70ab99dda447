// What the relocations of objects mean (psABI 4.4, "Relocation", table 4.9).
// Each is looked at twice, by the same code: first for what it needs (a slot in
// the GOT, an entry of the PLT, a dynamic relocation), then to write it. What
// is known by then is written; the rest becomes a relocation of the image.

#include "../error.h"
#include "relocate.h"

static e64_status get_slot(struct relocating *now, enum slot_kind kind,
                           uint64_t *address)
{
    struct symbol *symbol = now->symbol;
    if (!symbol)
        symbol = now->symbol = edit_local(now->edit, now->unit, now->index);
    if (!symbol)
        return fail_memory(sizeof *symbol);
    uint32_t *number = kind == SLOT_ADDRESS ? &symbol->address_slot
                     : kind == SLOT_PAIR ? &symbol->pair_slot
                     : kind == SLOT_OFFSET ? &symbol->offset_slot
                     : &symbol->descriptor_slot;
    if (!now->writing)
        return edit_need_slot(now->edit, symbol, kind, number);
    if (!*number)
        return relocation_bad(now, E64_BADFORMAT, "lies on another one");
    *address = edit_slot_address(now->edit, *number);
    return E64_OK;
}

static e64_status get_call(struct relocating *now, uint64_t *address)
{
    struct symbol *symbol = now->symbol;
    if (!symbol)
        symbol = now->symbol = edit_local(now->edit, now->unit, now->index);
    if (!symbol)
        return fail_memory(sizeof *symbol);
    if (!now->writing)
        return edit_need_call(now->edit, symbol);
    *address = edit_call_address(now->edit, symbol->plt);
    return E64_OK;
}

// Code that knows an IFUNC by an address of its own has that of its PLT entry,
// and so have all others then, so that pointers to it are equal.
static e64_status take_address(struct relocating *now)
{
    if (now->symbol)
        now->symbol->direct = true;
    if (!now->ifunc)
        return E64_OK;
    e64_status status = get_call(now, &now->S);
    now->symbol->direct = true;
    return status;
}

// S + A.
static e64_status absolute(struct relocating *now, enum fit fit)
{
    const bool word = fit == FIT_64;
    e64_status status = E64_OK;
    switch (now->where) {
    case WHERE_FIXED:
        // The loader's own variables are as far away as what is imported.
        if (fit == FIT_64 || fit == FIT_16 || fit == FIT_8 || !now->symbol
            || now->symbol->unit || now->S <= INT32_MAX)
            return relocation_put(now, now->S + now->A, fit);
        return relocation_dynamic(now, now->type, true, now->A);
    case WHERE_IMPORT:
        return relocation_dynamic(now, now->type, true, now->A);
    case WHERE_STORAGE:
        return relocation_bad(now, E64_BADFORMAT, "is not for thread-local "
                              "symbols, as this one is");
    case WHERE_IMAGE:
        break;
    }
    if (word && now->ifunc && !(now->symbol && now->symbol->direct))
        return relocation_dynamic(now, R_X86_64_IRELATIVE, false,
                                  now->S + now->A);
    if (word && now->symbol && symbol_is_unique(now->symbol)
        && !now->symbol->direct)
        return relocation_dynamic(now, now->type, true, now->A);
    if (!word || now->ifunc)
        status = take_address(now);
    if (status == E64_OK && word && now->writing)
        status = relocation_put(now, now->S + now->A, fit);
    if (status != E64_OK)
        return status;
    if (word)
        return relocation_dynamic(now, R_X86_64_RELATIVE, false,
                                  now->S + now->A);
    now->edit->image->low |= now->type == R_X86_64_32
                          || now->type == R_X86_64_32S;
    return relocation_dynamic(now, now->type, false, now->S + now->A);
}

// L + A - P, or L - GOT + A: calls, which go by the PLT when they leave.
static e64_status call(struct relocating *now, uint64_t from, enum fit fit)
{
    e64_status status = E64_OK;
    if (now->where == WHERE_STORAGE)
        return relocation_bad(now, E64_BADFORMAT, "is for functions, and this "
                              "is a thread-local symbol");
    if (now->where != WHERE_IMAGE || now->ifunc)
        status = get_call(now, &now->S);
    return status == E64_OK
         ? relocation_put(now, now->S + now->A - from, fit) : status;
}

// Is the word what a call or jump has? No other instruction that takes an
// address relative to its place has such a byte before it: with these values
// it would be a ModRM byte for what is no memory at %rip.
static bool is_branch(const struct relocating *now)
{
    const uint8_t *at = now->input + now->offset;
    if (now->type != R_X86_64_PC32 || !chunk_is_code(now->piece->chunk)
        || now->A != (uint64_t)-4 || now->offset < 1)
        return false;
    return at[-1] == 0xe8 || at[-1] == 0xe9
        || (now->offset >= 2 && at[-2] == 0x0f && (at[-1] & 0xf0) == 0x80);
}

// S + A - P.
static e64_status relative(struct relocating *now, enum fit fit)
{
    if (now->where == WHERE_IMAGE) {
        e64_status status = take_address(now);
        return status == E64_OK
             ? relocation_put(now, now->S + now->A - now->P, fit) : status;
    }
    if (now->where == WHERE_STORAGE)
        return relocation_bad(now, E64_BADFORMAT, "is not for thread-local "
                              "symbols, as this one is");
    if (is_branch(now))
        return call(now, now->P, fit);
    return relocation_dynamic(now, now->type, true, now->A);
}

// S + A - GOT. What is another's has no such dynamic relocation, but is as far
// from the place as from the GOT.
static e64_status from_got(struct relocating *now)
{
    const uint64_t GOT = edit_got_base(now->edit);
    if (now->where == WHERE_IMAGE) {
        e64_status status = take_address(now);
        return status == E64_OK
             ? relocation_put(now, now->S + now->A - GOT, FIT_64) : status;
    }
    if (now->where == WHERE_STORAGE)
        return relocation_bad(now, E64_BADFORMAT, "is not for thread-local "
                              "symbols, as this one is");
    return relocation_dynamic(now, R_X86_64_PC64, true,
                              now->A + now->P - GOT);
}

// G + A and the like: what asks the GOT for the address.
static e64_status by_got(struct relocating *now, uint64_t from, enum fit fit)
{
    uint64_t G = 0;
    if (now->where == WHERE_STORAGE)
        return relocation_bad(now, E64_BADFORMAT, "is not for thread-local "
                              "symbols, as this one is");
    e64_status status = get_slot(now, SLOT_ADDRESS, &G);
    return status == E64_OK ? relocation_put(now, G + now->A - from, fit)
                            : status;
}

// Is it at a place that the small model's code reaches? What the medium one has
// apart as large may lie beyond.
static bool is_near(const struct relocating *now)
{
    if (now->where != WHERE_IMAGE)
        return false;
    if (now->symbol)
        return edit_chunk(now->edit, now->symbol) != CHUNK_LARGE_BSS;
    struct elf_symbol local = elf_relocatable_symbol(&now->unit->read,
                                                     now->index);
    return now->unit->pieces[local.section].chunk != CHUNK_LARGE_BSS;
}

// An instruction that asks the GOT for what is known can do without (psABI B.2,
// "Optimize GOTPCRELX Relocations"): it is made one that does, of which the
// word is to be S + A - P.
static bool relax(struct relocating *now)
{
    const uint64_t place = now->offset;
    if (!is_near(now) || now->ifunc || now->A != (uint64_t)-4
        || place < 2 || (now->symbol && symbol_is_unique(now->symbol)))
        return false;
    uint8_t code = now->input[place - 2], operand = now->input[place - 1];
    uint8_t *at = now->writing ? now->output + place : NULL;
    if (code == 0x8b && (operand & 0xc7) == 0x05) {
        if (at)
            at[-2] = 0x8d; // mov foo@GOTPCREL(%rip), r -> lea foo(%rip), r
    } else if (code == 0xff && operand == 0x15) {
        if (at) { // call *foo@GOTPCREL(%rip) -> addr32 call foo
            at[-2] = 0x67;
            at[-1] = 0xe8;
        }
    } else if (code == 0xff && operand == 0x25) {
        if (at) { // jmp *foo@GOTPCREL(%rip) -> jmp foo; nop
            at[-2] = 0xe9;
            at[3] = 0x90;
        }
        now->offset--;
        now->P--;
    } else {
        return false;
    }
    return true;
}

// What is for thread-local symbols only.
static e64_status check_storage(const struct relocating *now)
{
    if (now->where == WHERE_STORAGE || now->where == WHERE_IMPORT)
        return E64_OK;
    return relocation_bad(now, E64_BADFORMAT, "is for thread-local symbols, "
                          "and this is none");
}

// A slot of which the code knows how far it is away.
static e64_status by_slot(struct relocating *now, enum slot_kind kind)
{
    uint64_t G = 0;
    e64_status status = check_storage(now);
    if (status == E64_OK)
        status = get_slot(now, kind, &G);
    if (kind == SLOT_OFFSET)
        now->edit->static_tls = true;
    return status == E64_OK
         ? relocation_put(now, G + now->A - now->P, FIT_SIGNED_32) : status;
}

// The image's own module, of which there is one.
static e64_status by_module(struct relocating *now)
{
    struct edit *edit = now->edit;
    e64_status status = E64_OK;
    uint64_t G = 0;
    if (!now->writing)
        status = edit_need_slot(edit, NULL, SLOT_MODULE, &edit->module_slot);
    else
        G = edit_slot_address(edit, edit->module_slot);
    return status == E64_OK
         ? relocation_put(now, G + now->A - now->P, FIT_SIGNED_32) : status;
}

// An offset in the block of its module.
static e64_status in_block(struct relocating *now, enum fit fit)
{
    e64_status status = check_storage(now);
    if (status != E64_OK)
        return status;
    if (now->where == WHERE_STORAGE)
        return relocation_put(now, now->S + now->A, fit);
    if (fit != FIT_64)
        return relocation_bad(now, E64_UNSUPPORTED, "is for thread-local "
                              "variables of the same module, and none of the "
                              "objects defines this one");
    return relocation_dynamic(now, now->type, true, now->A);
}

// An offset from the thread pointer, which is known when the image has its
// place in the static block.
static e64_status in_static_block(struct relocating *now)
{
    e64_status status = check_storage(now);
    if (status != E64_OK)
        return status;
    now->edit->static_tls = true;
    bool import = now->where == WHERE_IMPORT;
    return relocation_dynamic(now, now->type, import,
                              import ? now->A : now->S + now->A);
}

static e64_status size_of(struct relocating *now, enum fit fit)
{
    if (now->where == WHERE_IMPORT)
        return relocation_dynamic(now, now->type, true, now->A);
    return relocation_put(now, now->Z + now->A, fit);
}

static e64_status relocate(struct relocating *now)
{
    struct edit *edit = now->edit;
    const uint64_t A = now->A, P = now->P, GOT = edit_got_base(edit);
    switch (now->type) {
    case R_X86_64_64: return absolute(now, FIT_64);
    case R_X86_64_32: return absolute(now, FIT_UNSIGNED_32);
    case R_X86_64_32S: return absolute(now, FIT_SIGNED_32);
    case R_X86_64_16: return absolute(now, FIT_16);
    case R_X86_64_8: return absolute(now, FIT_8);
    case R_X86_64_PC64: return relative(now, FIT_64);
    case R_X86_64_PC32: return relative(now, FIT_SIGNED_32);
    case R_X86_64_PC16: return relative(now, FIT_SIGNED_16);
    case R_X86_64_PC8: return relative(now, FIT_SIGNED_8);
    case R_X86_64_PLT32: return call(now, P, FIT_SIGNED_32);
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
        if (relax(now))
            return relocation_put(now, now->S + A - now->P, FIT_SIGNED_32);
        return by_got(now, P, FIT_SIGNED_32);
    case R_X86_64_GOTPCREL: return by_got(now, P, FIT_SIGNED_32);
    case R_X86_64_GOTPCREL64: return by_got(now, P, FIT_64);
    case R_X86_64_SIZE32: return size_of(now, FIT_UNSIGNED_32);
    case R_X86_64_SIZE64: return size_of(now, FIT_64);
    case R_X86_64_TLSGD: return by_slot(now, SLOT_PAIR);
    case R_X86_64_GOTTPOFF: return by_slot(now, SLOT_OFFSET);
    case R_X86_64_GOTPC32_TLSDESC: return by_slot(now, SLOT_DESCRIPTOR);
    case R_X86_64_TLSDESC_CALL: return E64_OK; // marks an instruction
    case R_X86_64_TLSLD: return by_module(now);
    case R_X86_64_DTPOFF32: return in_block(now, FIT_SIGNED_32);
    case R_X86_64_DTPOFF64: return in_block(now, FIT_64);
    case R_X86_64_TPOFF32:
    case R_X86_64_TPOFF64: return in_static_block(now);
    }
    // The others count from the GOT.
    edit->uses_got_base = true;
    switch (now->type) {
    case R_X86_64_PLTOFF64: return call(now, GOT, FIT_64);
    case R_X86_64_GOTOFF64: return from_got(now);
    case R_X86_64_GOT32: return by_got(now, GOT, FIT_SIGNED_32);
    case R_X86_64_GOT64:
    case R_X86_64_GOTPLT64: return by_got(now, GOT, FIT_64);
    case R_X86_64_GOTPC32:
        return relocation_put(now, GOT + A - P, FIT_SIGNED_32);
    case R_X86_64_GOTPC64:
        return relocation_put(now, GOT + A - P, FIT_64);
    }
    return relocation_bad(now, E64_UNSUPPORTED, "is none that an object file "
                          "for x86-64 may hold");
}

static const struct {
    const char *name;
    uint8_t width;
} types[] = {
#define TYPE(type, width) [type] = { #type, width }
    TYPE(R_X86_64_NONE, 0),
    TYPE(R_X86_64_64, 8),
    TYPE(R_X86_64_PC32, 4),
    TYPE(R_X86_64_GOT32, 4),
    TYPE(R_X86_64_PLT32, 4),
    TYPE(R_X86_64_COPY, 0),
    TYPE(R_X86_64_GLOB_DAT, 0),
    TYPE(R_X86_64_JUMP_SLOT, 0),
    TYPE(R_X86_64_RELATIVE, 0),
    TYPE(R_X86_64_GOTPCREL, 4),
    TYPE(R_X86_64_32, 4),
    TYPE(R_X86_64_32S, 4),
    TYPE(R_X86_64_16, 2),
    TYPE(R_X86_64_PC16, 2),
    TYPE(R_X86_64_8, 1),
    TYPE(R_X86_64_PC8, 1),
    TYPE(R_X86_64_DTPMOD64, 0),
    TYPE(R_X86_64_DTPOFF64, 8),
    TYPE(R_X86_64_TPOFF64, 8),
    TYPE(R_X86_64_TLSGD, 4),
    TYPE(R_X86_64_TLSLD, 4),
    TYPE(R_X86_64_DTPOFF32, 4),
    TYPE(R_X86_64_GOTTPOFF, 4),
    TYPE(R_X86_64_TPOFF32, 4),
    TYPE(R_X86_64_PC64, 8),
    TYPE(R_X86_64_GOTOFF64, 8),
    TYPE(R_X86_64_GOTPC32, 4),
    TYPE(R_X86_64_GOT64, 8),
    TYPE(R_X86_64_GOTPCREL64, 8),
    TYPE(R_X86_64_GOTPC64, 8),
    TYPE(R_X86_64_GOTPLT64, 8),
    TYPE(R_X86_64_PLTOFF64, 8),
    TYPE(R_X86_64_SIZE32, 4),
    TYPE(R_X86_64_SIZE64, 8),
    TYPE(R_X86_64_GOTPC32_TLSDESC, 4),
    TYPE(R_X86_64_TLSDESC_CALL, 0),
    TYPE(R_X86_64_TLSDESC, 0),
    TYPE(R_X86_64_IRELATIVE, 0),
    TYPE(R_X86_64_RELATIVE64, 0),
    TYPE(R_X86_64_GOTPCRELX, 4),
    TYPE(R_X86_64_REX_GOTPCRELX, 4),
#undef TYPE
};

static bool is_known(uint32_t type)
{
    return type < sizeof types / sizeof *types && types[type].name;
}

const char *edit_type_name(uint32_t type)
{
    return is_known(type) ? types[type].name : "of unknown type";
}

uint32_t edit_type_width(uint32_t type)
{
    return is_known(type) ? types[type].width : 0;
}

bool relocation_is_relative(uint32_t type)
{
    return type == R_X86_64_RELATIVE;
}

bool relocation_is_far(uint32_t type)
{
    return type == R_X86_64_PC32 || type == R_X86_64_32
        || type == R_X86_64_32S;
}

bool relocation_is_none(uint32_t type)
{
    return type == R_X86_64_NONE;
}

e64_status relocation_do(struct relocating *now)
{
    return relocate(now);
}
