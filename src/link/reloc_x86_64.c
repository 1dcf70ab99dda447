// x86-64 has relocations with addends only, and most that a shared object holds
// are one 64-bit word: B + A for its own addresses, S or S + A for others'. The
// narrow ones stem from code that was not compiled as PIC; they reach 2 GB.
//
// https://gitlab.com/x86-psABIs/x86-64-ABI, table 4.9, "Relocation Types"

#include "reloc.h"

static const struct {
    const char *name;
    uint8_t kind;
    uint8_t width;
} types[] = {
#define TYPE(type, kind, width) [type] = { #type, kind, width }
    TYPE(R_X86_64_NONE, RELOC_NONE, 0),
    TYPE(R_X86_64_64, RELOC_SYMBOL, 8),
    TYPE(R_X86_64_PC32, RELOC_SYMBOL, 4),
    TYPE(R_X86_64_COPY, RELOC_COPY, 0),
    TYPE(R_X86_64_GLOB_DAT, RELOC_SYMBOL, 8),
    TYPE(R_X86_64_JUMP_SLOT, RELOC_JUMP, 8),
    TYPE(R_X86_64_RELATIVE, RELOC_RELATIVE, 8),
    TYPE(R_X86_64_32, RELOC_SYMBOL, 4),
    TYPE(R_X86_64_32S, RELOC_SYMBOL, 4),
    TYPE(R_X86_64_16, RELOC_SYMBOL, 2),
    TYPE(R_X86_64_8, RELOC_SYMBOL, 1),
    TYPE(R_X86_64_PC16, RELOC_SYMBOL, 2),
    TYPE(R_X86_64_PC8, RELOC_SYMBOL, 1),
    TYPE(R_X86_64_TPOFF32, RELOC_STATIC_TLS, 4),
    TYPE(R_X86_64_DTPMOD64, RELOC_TLS, 8),
    TYPE(R_X86_64_DTPOFF64, RELOC_TLS, 8),
    TYPE(R_X86_64_TPOFF64, RELOC_STATIC_TLS, 8),
    TYPE(R_X86_64_PC64, RELOC_SYMBOL, 8),
    TYPE(R_X86_64_SIZE32, RELOC_SIZE, 4),
    TYPE(R_X86_64_SIZE64, RELOC_SIZE, 8),
    TYPE(R_X86_64_TLSDESC, RELOC_DESCRIPTOR, 16),
    TYPE(R_X86_64_IRELATIVE, RELOC_IRELATIVE, 8),
    TYPE(R_X86_64_RELATIVE64, RELOC_RELATIVE, 8),
#undef TYPE
};

const struct reloc_word reloc_words[LINK_TYPES] = {
    [R_X86_64_64] = { .plain = true, .adds = true },
    [R_X86_64_GLOB_DAT] = { .plain = true },
    [R_X86_64_JUMP_SLOT] = { .plain = true, .jumps = true },
};

const uint32_t reloc_relative = R_X86_64_RELATIVE;

static bool is_known(uint32_t type)
{
    return type < sizeof types / sizeof *types && types[type].name;
}

enum reloc_kind reloc_kind(uint32_t type)
{
    return is_known(type) ? (enum reloc_kind)types[type].kind : RELOC_UNKNOWN;
}

const char *reloc_name(uint32_t type)
{
    return is_known(type) ? types[type].name : "of unknown type";
}

bool reloc_is_for_objects(uint32_t type)
{
    return type == R_X86_64_PC16 || type == R_X86_64_PC8
        || type == R_X86_64_TPOFF32;
}

enum reloc_reach reloc_reach(uint32_t type)
{
    switch (type) {
    case R_X86_64_PC32: return REACH_RELATIVE;
    case R_X86_64_32:
    case R_X86_64_32S: return REACH_ABSOLUTE;
    default: return REACH_NONE;
    }
}

uint32_t link_static_tls_type(void)
{
    return R_X86_64_TPOFF64;
}

const char *link_type_name(uint32_t type)
{
    return reloc_name(type);
}

uint32_t reloc_width(uint32_t type)
{
    return is_known(type) ? types[type].width : 0;
}

// Places need not be aligned.
static bool write64(uint64_t place, uint64_t value)
{
    memcpy((void *)place, &value, 8);
    return true;
}

static bool write32(uint64_t place, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    if (narrow != value)
        return false;
    memcpy((void *)place, &narrow, 4);
    return true;
}

static bool write32s(uint64_t place, uint64_t value)
{
    int32_t narrow = (int32_t)value;
    if ((uint64_t)(int64_t)narrow != value)
        return false;
    memcpy((void *)place, &narrow, 4);
    return true;
}

static bool write16(uint64_t place, uint64_t value)
{
    uint16_t narrow = (uint16_t)value;
    if (narrow != value && (uint64_t)(int64_t)(int16_t)narrow != value)
        return false;
    memcpy((void *)place, &narrow, 2);
    return true;
}

static bool write8(uint64_t place, uint64_t value)
{
    uint8_t narrow = (uint8_t)value;
    if (narrow != value && (uint64_t)(int64_t)(int8_t)narrow != value)
        return false;
    memcpy((void *)place, &narrow, 1);
    return true;
}

bool reloc_apply(uint32_t type, const struct reloc_values *values)
{
    const uint64_t A = values->A, B = values->B, P = values->P;
    const uint64_t S = values->S, Z = values->Z;
    switch (type) {
    case R_X86_64_RELATIVE:
    case R_X86_64_RELATIVE64:
        return write64(P, B + A);
    case R_X86_64_64:
        return write64(P, S + A);
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
        return write64(P, S);
    case R_X86_64_PC64:
        return write64(P, S + A - P);
    case R_X86_64_32:
        return write32(P, S + A);
    case R_X86_64_32S:
        return write32s(P, S + A);
    case R_X86_64_PC32:
        return write32s(P, S + A - P);
    case R_X86_64_16:
        return write16(P, S + A);
    case R_X86_64_8:
        return write8(P, S + A);
    case R_X86_64_PC16:
        return write16(P, S + A - P);
    case R_X86_64_PC8:
        return write8(P, S + A - P);
    case R_X86_64_SIZE32:
        return write32(P, Z + A);
    case R_X86_64_SIZE64:
        return write64(P, Z + A);
    case R_X86_64_DTPMOD64:
        return write64(P, values->module);
    case R_X86_64_DTPOFF64:
        return write64(P, S + A);
    case R_X86_64_TPOFF64:
        return write64(P, S + A + (uint64_t)values->block);
    case R_X86_64_TPOFF32:
        return write32s(P, S + A + (uint64_t)values->block);
    case R_X86_64_IRELATIVE:
        return write64(P, S);
    default:
        return true;
    }
}
