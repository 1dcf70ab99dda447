// Reaches what is further away than an instruction can say (psABI 3.5.1, "Code
// Models": the small one takes for granted that all lies within 2 GB).
//
// An instruction with such a word has five bytes or more, so a jump fits in its
// place. What it jumps to loads the address into a register and does the same
// by that. Where the instruction loads a register itself, that register will
// do; else one is saved below the red zone (psABI 3.2.2) meanwhile. Flags stay
// as they are: movabs, lea, push and pop do not touch them.

#include "far.h"

#include <string.h>

#include "length_x86_64.h"

enum { RAX = 0, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7, R11 = 11 };

// What lies between the stack pointer and what is saved: the red zone.
enum { RED_ZONE = 128 };

struct rewriting {
    const uint8_t *old; // the instruction
    struct instruction read;
    bool in_displacement; // the word is; else it is the immediate
    uint64_t address;     // what the word stands for
    uint8_t modrm, sib;
    uint8_t out[FAR_STUB_SIZE];
    uint8_t *stub;
    size_t size;
};

static void put(struct rewriting *rewriting, const void *bytes, size_t size)
{
    memcpy(rewriting->out + rewriting->size, bytes, size);
    rewriting->size += size;
}

static void put_byte(struct rewriting *rewriting, unsigned byte)
{
    rewriting->out[rewriting->size++] = (uint8_t)byte;
}

static void put_word(struct rewriting *rewriting, int64_t word)
{
    int32_t narrow = (int32_t)word; // checked by whoever gives it
    put(rewriting, &narrow, 4);
}

// movabs $value, %reg
static void put_load(struct rewriting *rewriting, unsigned reg, uint64_t value)
{
    put_byte(rewriting, 0x48 | reg >> 3);
    put_byte(rewriting, 0xb8 | (reg & 7));
    put(rewriting, &value, 8);
}

// A ModRM byte for (base), with the SIB byte or displacement that it takes.
static void put_base(struct rewriting *rewriting, unsigned reg, unsigned base)
{
    bool needs_zero = (base & 7) == RBP;
    put_byte(rewriting, (needs_zero ? 0x40 : 0) | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == RSP)
        put_byte(rewriting, 0x24);
    if (needs_zero)
        put_byte(rewriting, 0);
}

// Back to what comes after the instruction.
static bool put_return(struct rewriting *rewriting)
{
    const uint8_t *from = rewriting->stub + rewriting->size + 5;
    int64_t distance = rewriting->old + rewriting->read.length - from;
    put_byte(rewriting, 0xe9);
    put_word(rewriting, distance);
    return distance == (int32_t)distance;
}

static unsigned reg_of(const struct rewriting *rewriting)
{
    return (rewriting->modrm >> 3 & 7) | (rewriting->read.rex & 4) << 1;
}

static bool is_memory(const struct rewriting *rewriting)
{
    return rewriting->read.modrm_at && rewriting->modrm >> 6 != 3;
}

static bool has_sib(const struct rewriting *rewriting)
{
    return is_memory(rewriting) && (rewriting->modrm & 7) == 4;
}

static bool is_relative(const struct rewriting *rewriting)
{
    return (rewriting->modrm & 0xc7) == 0x05;
}

// The registers of the memory operand, or -1.
static int base_of(const struct rewriting *rewriting)
{
    unsigned mod = rewriting->modrm >> 6, rm = rewriting->modrm & 7;
    unsigned low = rm == 4 ? rewriting->sib & 7 : rm;
    if (!is_memory(rewriting) || (mod == 0 && low == 5))
        return -1;
    return (int)(low | (rewriting->read.rex & 1) << 3);
}

static int index_of(const struct rewriting *rewriting)
{
    unsigned index = (rewriting->sib >> 3 & 7)
                   | (rewriting->read.rex & 2) << 2;
    return !has_sib(rewriting) || index == RSP ? -1 : (int)index;
}

// Has its opcode a meaning in the place of ModRM's register?
static bool is_group(const struct instruction *read)
{
    uint8_t opcode = read->opcode;
    if (read->map == 0)
        return (opcode & 0xfc) == 0x80 || opcode == 0x8f
            || (opcode & 0xfe) == 0xc0 || (opcode & 0xfe) == 0xc6
            || (opcode & 0xfc) == 0xd0 || (opcode & 0xf8) == 0xd8
            || (opcode & 0xfe) == 0xf6 || opcode >= 0xfe;
    return read->map == 1 && (opcode == 0x00 || opcode == 0x01
        || opcode == 0x0d || opcode == 0x18 || opcode == 0xae
        || opcode == 0xba || opcode == 0xc7);
}

// Is that register one of the vectors'?
static bool is_vector(const struct instruction *read)
{
    uint8_t opcode = read->opcode;
    switch (read->map) {
    case 0:
        return false;
    case 1:
        return (opcode >= 0x10 && opcode <= 0x17)
            || (opcode >= 0x28 && opcode <= 0x2f && opcode != 0x2c
                && opcode != 0x2d)
            || (opcode >= 0x51 && opcode <= 0x7f) || opcode == 0xc2
            || opcode == 0xc6 || opcode >= 0xd0;
    default:
        return opcode < 0xf0;
    }
}

// The register that VEX, EVEX or XOP names besides; -1 where there is none.
static int third_of(const struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    const uint8_t *form = rewriting->old + read->form_at;
    switch (read->form) {
    case FORM_LEGACY: return -1;
    case FORM_VEX2: return ~form[1] >> 3 & 15;
    default: return ~form[2] >> 3 & 15;
    }
}

// One that the instruction has nothing to do with. None of these is used
// without being named by one that has an operand in memory.
static int choose_scratch(const struct rewriting *rewriting)
{
    static const int choices[] = { RSI, RDI, RBX };
    int reg = is_group(&rewriting->read) ? -1 : (int)reg_of(rewriting);
    int third = third_of(rewriting), base = base_of(rewriting);
    int index = index_of(rewriting);
    int direct = rewriting->read.modrm_at && !is_memory(rewriting)
        ? (rewriting->modrm & 7) | (rewriting->read.rex & 1) << 3 : -1;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        int choice = choices[i];
        // Without REX a byte of 6 or 7 is that of dh or bh.
        bool high = choice == RBX && (reg == RDI || direct == RDI);
        if (choice != reg && choice != third && choice != base
            && choice != index && choice != direct && !high)
            return choice;
    }
    return -1;
}

// Does it go elsewhere, or use the stack pointer otherwise than as a base?
static const char *check_stack(const struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    unsigned group = rewriting->modrm >> 3 & 7;
    if (read->map == 0
        && ((read->opcode == 0xff && group >= 2) || read->opcode == 0x8f
            || (read->opcode & 0xf0) == 0x70
            || (read->opcode & 0xfc) == 0xe8))
        return "it is a jump, a call, a push or a pop";
    if (read->map == 1 && (read->opcode & 0xf0) == 0x80)
        return "it is a jump";
    if (read->modrm_at && !is_group(read) && !is_vector(read)
        && reg_of(rewriting) == RSP)
        return "it uses the stack pointer";
    if (read->modrm_at && !is_memory(rewriting)
        && (rewriting->modrm & 7) == RSP && !(read->rex & 1))
        return "it uses the stack pointer";
    return NULL;
}

// Prefixes and opcode, with what says that the base is beyond the first eight
// registers taken out.
static void put_opcode(struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    size_t start = rewriting->size;
    put(rewriting, rewriting->old, read->opcode_at + 1u);
    uint8_t *form = rewriting->out + start + read->form_at;
    if (read->form == FORM_LEGACY && read->has_rex)
        *form &= 0xfe;
    else if (read->form != FORM_LEGACY && read->form != FORM_VEX2)
        form[1] |= 0x20; // stands there inverted
}

static void put_immediate(struct rewriting *rewriting)
{
    put(rewriting, rewriting->old + rewriting->read.immediate_at,
        rewriting->read.immediate_size);
}

// The instruction with (scratch, index) in the place of its memory operand.
static void put_by_scratch(struct rewriting *rewriting, int scratch)
{
    unsigned reg = rewriting->modrm & 0x38;
    int base = base_of(rewriting);
    if (base >= 0) { // lea (scratch, base), scratch
        put_byte(rewriting, 0x48 | (base >> 3) << 1);
        put_byte(rewriting, 0x8d);
        put_byte(rewriting, (unsigned)scratch << 3 | 4);
        put_byte(rewriting, (unsigned)(base & 7) << 3 | (unsigned)scratch);
    }
    put_opcode(rewriting);
    if (index_of(rewriting) >= 0) {
        put_byte(rewriting, reg | 4);
        put_byte(rewriting, (rewriting->sib & 0xf8u) | (unsigned)scratch);
    } else {
        put_byte(rewriting, reg | (unsigned)scratch);
    }
    put_immediate(rewriting);
}

// The same operand again, for what has moved and saved something: one that is
// relative to the instruction has another distance, one on the stack another
// offset. False when that is too far.
static bool put_same_operand(struct rewriting *rewriting, unsigned reg)
{
    const struct instruction *read = &rewriting->read;
    const uint8_t *at = rewriting->old + read->displacement_at;
    int64_t offset = read->displacement_size == 1 ? (int8_t)*at : 0;
    if (read->displacement_size == 4) {
        int32_t word;
        memcpy(&word, at, 4);
        offset = word;
    }
    unsigned modrm = (rewriting->modrm & 0xc7u) | reg << 3;
    bool wide = read->displacement_size == 4;
    if (is_relative(rewriting)) {
        offset += rewriting->old + read->length
                - (rewriting->stub + rewriting->size + 5);
    } else if (base_of(rewriting) == RSP) {
        offset += RED_ZONE + 8;
        modrm = (modrm & 0x3f) | 0x80;
        wide = true;
    }
    put_byte(rewriting, modrm);
    if (has_sib(rewriting))
        put_byte(rewriting, rewriting->sib);
    if (wide)
        put_word(rewriting, offset);
    else if (read->displacement_size)
        put_byte(rewriting, (uint8_t)offset);
    return offset == (int32_t)offset;
}

// The instruction with a register in the place of its immediate, by the opcode
// that has one (SDM volume 2, "ADD" and the like). NULL, or why not.
static const char *put_register(struct rewriting *rewriting, unsigned scratch)
{
    static const char none[] = "there is no such instruction with a register "
                               "in the place of the constant";
    const struct instruction *read = &rewriting->read;
    unsigned group = rewriting->modrm >> 3 & 7, opcode;
    if (read->map != 0 || !(read->rex & 8))
        return "it takes no more than 32 bits of the address";
    if ((read->opcode & 0xc7) == 0x05) { // add $word, %rax, and its kin
        put_byte(rewriting, 0x48);
        put_byte(rewriting, (read->opcode & 0x38u) | 1);
        put_byte(rewriting, 0xc0 | scratch << 3 | RAX);
        return NULL;
    }
    if (read->opcode == 0xa9) {
        put_byte(rewriting, 0x48);
        put_byte(rewriting, 0x85);
        put_byte(rewriting, 0xc0 | scratch << 3 | RAX);
        return NULL;
    }
    switch (read->opcode) {
    case 0x81: opcode = group << 3 | 1; break;
    case 0xc7: opcode = 0x89; break;
    case 0xf7: opcode = 0x85; break;
    default: return none;
    }
    put_opcode(rewriting);
    rewriting->out[rewriting->size - 1] = (uint8_t)opcode;
    // The base keeps its number here, and the register is one of the first.
    rewriting->out[rewriting->size - 2] = 0x40 | (read->rex & 11);
    if (is_memory(rewriting))
        return put_same_operand(rewriting, scratch) ? NULL
                                                    : "its data is too far";
    put_byte(rewriting, 0xc0 | scratch << 3 | (rewriting->modrm & 7u));
    return NULL;
}

// By a register that is saved meanwhile.
static const char *write_saving(struct rewriting *rewriting)
{
    const char *why = check_stack(rewriting);
    int scratch = choose_scratch(rewriting);
    if (why || scratch < 0)
        return why ? why : "it uses all registers that could be taken";
    if (rewriting->in_displacement && base_of(rewriting) == RSP)
        return "it uses the stack pointer";
    put(rewriting, "\x48\x8d\x64\x24\x80", 5); // lea -128(%rsp), %rsp
    put_byte(rewriting, 0x50 | (unsigned)scratch); // push
    put_load(rewriting, (unsigned)scratch, rewriting->address);
    if (rewriting->in_displacement)
        put_by_scratch(rewriting, scratch);
    else
        why = put_register(rewriting, (unsigned)scratch);
    put_byte(rewriting, 0x58 | (unsigned)scratch); // pop
    put(rewriting, "\x48\x8d\xa4\x24\x80\0\0\0", 8); // lea 128(%rsp), %rsp
    return why;
}

// Loads of a register's 32 or 64 bits: mov, movslq, movzx, movsx.
static bool is_load(const struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    uint8_t opcode = read->opcode;
    return rewriting->in_displacement && read->form == FORM_LEGACY
        && (!read->operand16 || read->rex & 8)
        && index_of(rewriting) < 0 && base_of(rewriting) < 0
        && reg_of(rewriting) != RSP
        && (read->map == 0 ? opcode == 0x8b || opcode == 0x63
                           : read->map == 1 && (opcode & 0xf6) == 0xb6);
}

// mov $address, %reg and lea address, %reg: what they load is all there is.
static int load_of(const struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    bool wide = read->rex & 8;
    if (read->map != 0 || read->form != FORM_LEGACY || read->operand16)
        return -1;
    if (rewriting->in_displacement)
        return read->opcode == 0x8d && wide && index_of(rewriting) < 0
            && base_of(rewriting) < 0 ? (int)reg_of(rewriting) : -1;
    if ((read->opcode & 0xf8) == 0xb8)
        return (read->opcode & 7) | (read->rex & 1) << 3;
    if (read->opcode == 0xc7 && !is_memory(rewriting))
        return (rewriting->modrm & 7) | (read->rex & 1) << 3;
    return -1;
}

// r11 holds nothing where a function is called (psABI 3.2.1); the call itself
// stays where it is, so that it returns to the same place.
static bool is_call(const struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    unsigned group = rewriting->modrm >> 3 & 7;
    return rewriting->in_displacement && read->map == 0
        && read->opcode == 0xff && (group == 2 || group == 4)
        && index_of(rewriting) < 0 && base_of(rewriting) < 0;
}

// push $address, by a register that is exchanged with what was pushed.
static void write_push(struct rewriting *rewriting)
{
    put_byte(rewriting, 0x50 | RAX);
    put_load(rewriting, RAX, rewriting->address);
    put(rewriting, "\x48\x87\x04\x24", 4); // xchg %rax, (%rsp)
}

// NULL, or why not.
static const char *write_stub(struct rewriting *rewriting)
{
    const struct instruction *read = &rewriting->read;
    int loaded = load_of(rewriting);
    unsigned reg = reg_of(rewriting);
    const char *why = NULL;
    if (read->segment || read->address32)
        return "it has a segment or an address of 32 bits";
    if (is_call(rewriting)) {
        put_load(rewriting, R11, rewriting->address);
        put(rewriting, "\x41\xff\x23", 3); // jmp *(%r11)
        return NULL;
    }
    if (loaded >= 0) {
        put_load(rewriting, (unsigned)loaded, rewriting->address);
    } else if (is_load(rewriting)) {
        put_load(rewriting, reg, rewriting->address);
        put_opcode(rewriting);
        if (reg > 7) // it has a REX prefix, which names the register twice
            rewriting->out[10 + read->form_at] |= 1;
        put_base(rewriting, reg, reg);
    } else if (!rewriting->in_displacement && read->map == 0
               && read->opcode == 0x68 && !read->operand16) {
        write_push(rewriting);
    } else {
        why = write_saving(rewriting);
    }
    if (!why && !put_return(rewriting))
        why = "its stub is too far";
    return why;
}

// The instruction that the word is part of: NULL, or why there is none.
static const char *find(const struct far_word *word,
                        struct rewriting *rewriting)
{
    const uint8_t *at = word->code;
    struct instruction *read = &rewriting->read;
    do {
        rewriting->old = at;
        if (at > word->place || !instruction_read(at, (size_t)(word->end - at),
                                                  read))
            return "no instruction leads to it";
        at += read->length;
    } while (at < word->place + 4);
    const uint8_t *place = word->place;
    rewriting->in_displacement = read->displacement_size == 4
        && place == rewriting->old + read->displacement_at;
    if (!rewriting->in_displacement
        && (read->immediate_size != 4
            || place != rewriting->old + read->immediate_at))
        return "no instruction has it as its operand";
    if (word->next_place && word->next_place < at)
        return "its instruction has two of them";
    if (read->modrm_at)
        rewriting->modrm = rewriting->old[read->modrm_at];
    if (has_sib(rewriting))
        rewriting->sib = rewriting->old[read->modrm_at + 1];
    return NULL;
}

const char *far_rewrite(const struct far_word *word, uint64_t target,
                        int relative)
{
    struct rewriting rewriting = { .stub = word->stub, .address = target };
    const char *why = find(word, &rewriting);
    if (why)
        return why;
    uint8_t *old = word->code + (rewriting.old - word->code);
    const uint8_t *end = old + rewriting.read.length;
    if (relative) {
        if (!rewriting.in_displacement || !is_relative(&rewriting))
            return "its operand is not relative to the instruction";
        rewriting.address += (uint64_t)(end - word->place);
    } else if (rewriting.in_displacement && is_relative(&rewriting)) {
        return "its operand is relative to the instruction";
    }
    why = write_stub(&rewriting);
    if (why)
        return why;
    int64_t distance = word->stub - (old + 5);
    if (distance != (int32_t)distance)
        return "its stub is too far";
    memcpy(word->stub, rewriting.out, rewriting.size);
    int32_t narrow = (int32_t)distance;
    bool call = is_call(&rewriting) && (rewriting.modrm >> 3 & 7) == 2;
    *old = call ? 0xe8 : 0xe9;
    memcpy(old + 1, &narrow, 4);
    memset(old + 5, 0x90, (size_t)(end - old) - 5);
    return NULL;
}

void far_jump(uint8_t *stub, uint64_t target)
{
    memcpy(stub, "\xff\x25\0\0\0\0", 6); // jmp *(%rip), what comes next
    memcpy(stub + 6, &target, sizeof target);
}
