// How long an x86-64 instruction is, and where its displacement and immediate
// lie (Intel SDM volume 2, chapter 2 and appendix A; AMD's APM volume 3 for
// XOP). That takes the prefixes, the opcode's map and one question to a table
// for each opcode: is a ModRM byte to follow, and how large an immediate?

#include "length_x86_64.h"

#include <string.h>

enum {
    NONE = 0,
    M = 1,    // a ModRM byte
    B = 2,    // an immediate of one byte
    W = 4,    // of two
    Z = 8,    // of four, or of two with 66
    V = 16,   // the same, or of eight with REX.W
    D = 32,   // of four: a branch
    A = 64,   // an absolute address
    X = 128,  // none in 64-bit mode, or a prefix
};

// Opcodes of one byte, sixteen a row.
#define ARITHMETIC M, M, M, M, B, Z, X, X
static const uint8_t one_byte[256] = {
    ARITHMETIC, ARITHMETIC,
    ARITHMETIC, ARITHMETIC,
    ARITHMETIC, ARITHMETIC,
    ARITHMETIC, ARITHMETIC,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    X, X, X, M, X, X, X, X, Z, M | Z, B, M | B, NONE, NONE, NONE, NONE,
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    M | B, M | Z, X, M | B, M, M, M, M, M, M, M, M, M, M, M, M,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, X, NONE, NONE, NONE, NONE, NONE,
    A, A, A, A, NONE, NONE, NONE, NONE, B, Z, NONE, NONE, NONE, NONE, NONE,
    NONE,
    B, B, B, B, B, B, B, B, V, V, V, V, V, V, V, V,
    M | B, M | B, W, NONE, X, X, M | B, M | Z,
    W | B, NONE, W, NONE, NONE, B, X, NONE,
    M, M, M, M, X, X, X, NONE, M, M, M, M, M, M, M, M,
    B, B, B, B, B, B, B, B, D, D, X, B, NONE, NONE, NONE, NONE,
    X, NONE, X, X, NONE, NONE, M, M, NONE, NONE, NONE, NONE, NONE, NONE, M, M,
};

// Those after 0F: bits of a row for what has no ModRM byte, and for what has an
// immediate of one byte.
static bool is_bare(uint8_t opcode)
{
    static const uint16_t rows[16] = {
        [0x0] = 0x4be0, // syscall, clts, sysret, invd, wbinvd, ud2, femms
        [0x3] = 0x00bf, // wrmsr ... getsec
        [0x7] = 0x0080, // emms, vzeroupper
        [0xa] = 0x0707, // push and pop fs, gs; cpuid, rsm
        [0xc] = 0xff00, // bswap
    };
    return rows[opcode >> 4] >> (opcode & 15) & 1;
}

static bool has_byte(uint8_t opcode)
{
    static const uint16_t rows[16] = {
        [0x0] = 0x8000, // 3DNow!
        [0x7] = 0x000f, // pshufw, and shifts by immediates
        [0xa] = 0x1010, // shld, shrd
        [0xb] = 0x0400, // bt and its kin
        [0xc] = 0x0074, // cmpps, pinsrw, pextrw, shufps
    };
    return rows[opcode >> 4] >> (opcode & 15) & 1;
}

static uint8_t shape_of(const struct instruction *instruction)
{
    uint8_t opcode = instruction->opcode;
    switch (instruction->map) {
    case 0:
        return one_byte[opcode];
    case 1:
        if (opcode == 0x04 || opcode == 0x0a || opcode == 0x0c
            || (opcode >= 0x24 && opcode <= 0x27))
            return X;
        if (opcode >> 4 == 8 && instruction->form == FORM_LEGACY)
            return D;
        return (is_bare(opcode) ? NONE : M) | (has_byte(opcode) ? B : NONE);
    case 3:
    case 8:
        return M | B;
    case 10:
        return M | D;
    default:
        return M;
    }
}

struct reading {
    const uint8_t *code;
    size_t room, at;
    struct instruction *instruction;
};

static bool take(struct reading *reading, uint8_t *byte)
{
    if (reading->at >= reading->room || reading->at >= 15)
        return false;
    *byte = reading->code[reading->at++];
    return true;
}

static bool skip(struct reading *reading, size_t count)
{
    reading->at += count;
    return reading->at <= reading->room && reading->at <= 15;
}

static bool is_prefix(uint8_t byte)
{
    return byte == 0x66 || byte == 0x67 || byte == 0x64 || byte == 0x65
        || byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e
        || byte == 0xf0 || byte == 0xf2 || byte == 0xf3;
}

// Those of the old kind, and REX, which counts when it is the last of all.
static bool read_prefixes(struct reading *reading, uint8_t *byte)
{
    struct instruction *instruction = reading->instruction;
    while (take(reading, byte)) {
        instruction->has_rex = false;
        switch (*byte) {
        case 0x66: instruction->operand16 = true; break;
        case 0x67: instruction->address32 = true; break;
        case 0x64:
        case 0x65: instruction->segment = true; break;
        case 0x26: case 0x2e: case 0x36: case 0x3e:
        case 0xf0: case 0xf2: case 0xf3:
            break;
        default:
            while (*byte >> 4 == 4) {
                instruction->has_rex = true;
                instruction->rex = *byte & 15;
                instruction->form_at = (uint8_t)(reading->at - 1);
                if (!take(reading, byte))
                    return false;
            }
            if (!instruction->has_rex || !is_prefix(*byte))
                return true;
            reading->at--;
            instruction->rex = 0;
        }
    }
    return false;
}

// The bits R, X and B stand there inverted.
static bool read_vector(struct reading *reading, uint8_t first)
{
    struct instruction *instruction = reading->instruction;
    uint8_t bytes[3] = { 0, 0, 0 };
    int count = first == 0xc5 ? 1 : first == 0x62 ? 3 : 2;
    instruction->form_at = (uint8_t)(reading->at - 1);
    for (int i = 0; i < count; i++)
        if (!take(reading, &bytes[i]))
            return false;
    instruction->rex = (uint8_t)(~bytes[0] >> 5 & 7);
    if (first == 0xc5) {
        instruction->form = FORM_VEX2;
        instruction->rex &= 4;
        instruction->map = 1;
    } else {
        instruction->form = first == 0x62 ? FORM_EVEX
                          : first == 0x8f ? FORM_XOP : FORM_VEX3;
        instruction->rex |= (uint8_t)(bytes[1] >> 7 << 3);
        instruction->map = bytes[0] & (first == 0x62 ? 7 : 31);
    }
    return take(reading, &instruction->opcode) && instruction->map != 0;
}

static bool read_opcode(struct reading *reading, uint8_t byte)
{
    struct instruction *instruction = reading->instruction;
    bool xop = byte == 0x8f && reading->at < reading->room
            && (reading->code[reading->at] & 31) >= 8;
    if (!instruction->has_rex
        && (byte == 0xc4 || byte == 0xc5 || byte == 0x62 || xop))
        return read_vector(reading, byte);
    if (byte == 0x0f) {
        instruction->map = 1;
        if (!take(reading, &byte))
            return false;
        if (byte == 0x38 || byte == 0x3a) {
            instruction->map = byte == 0x38 ? 2 : 3;
            if (!take(reading, &byte))
                return false;
        }
    }
    instruction->opcode = byte;
    return true;
}

// ModRM, SIB and the displacement (SDM 2.1.5, tables 2-2 and 2-3).
static bool read_operand(struct reading *reading)
{
    struct instruction *instruction = reading->instruction;
    uint8_t modrm, sib = 0;
    instruction->modrm_at = (uint8_t)reading->at;
    if (!take(reading, &modrm))
        return false;
    uint8_t mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3)
        return true;
    if (rm == 4 && !take(reading, &sib))
        return false;
    uint8_t base = rm == 4 ? sib & 7 : rm;
    instruction->displacement_size = mod == 1 ? 1
        : mod == 2 || base == 5 ? 4 : 0;
    instruction->displacement_at = (uint8_t)reading->at;
    return skip(reading, instruction->displacement_size);
}

static uint8_t immediate_size(const struct instruction *instruction,
                              uint8_t shape, const uint8_t *code)
{
    bool wide = instruction->rex & 8;
    uint8_t narrow = instruction->operand16 && !wide ? 2 : 4, size = 0;
    uint8_t opcode = instruction->opcode;
    // test, the only one of its group that has one.
    if (instruction->map == 0 && (opcode | 1) == 0xf7
        && (code[instruction->modrm_at] >> 3 & 7) < 2)
        size = opcode == 0xf6 ? 1 : narrow;
    if (shape & A)
        return instruction->address32 ? 4 : 8;
    if (shape & V)
        return wide ? 8 : narrow;
    return (uint8_t)(size + (shape & B ? 1 : 0) + (shape & W ? 2 : 0)
                     + (shape & D ? 4 : 0) + (shape & Z ? narrow : 0));
}

bool instruction_read(const uint8_t *code, size_t room,
                      struct instruction *instruction)
{
    struct reading reading = { code, room, 0, instruction };
    uint8_t byte;
    memset(instruction, 0, sizeof *instruction);
    if (!read_prefixes(&reading, &byte) || !read_opcode(&reading, byte))
        return false;
    instruction->opcode_at = (uint8_t)(reading.at - 1);
    uint8_t shape = shape_of(instruction);
    if (shape & X || (shape & M && !read_operand(&reading)))
        return false;
    instruction->immediate_at = (uint8_t)reading.at;
    instruction->immediate_size = immediate_size(instruction, shape, code);
    if (!skip(&reading, instruction->immediate_size))
        return false;
    instruction->length = (uint8_t)reading.at;
    return true;
}
