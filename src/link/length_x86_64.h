// Where the parts of one x86-64 instruction lie.

#ifndef LINK_LENGTH_X86_64_H
#define LINK_LENGTH_X86_64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum prefix_form { FORM_LEGACY, FORM_VEX2, FORM_VEX3, FORM_EVEX, FORM_XOP };

struct instruction {
    uint8_t length;
    uint8_t form;        // enum prefix_form
    uint8_t form_at;     // of VEX, EVEX, XOP, or REX when there is one
    uint8_t rex;         // as a REX prefix would have W, R, X and B; else 0
    bool has_rex;        // one is there
    bool operand16;      // 66
    bool address32;      // 67
    bool segment;        // 64 or 65
    uint8_t map;         // 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A, 5, 6, 8 ...
    uint8_t opcode;
    uint8_t opcode_at;
    uint8_t modrm_at;    // 0: there is none
    uint8_t displacement_at, displacement_size;
    uint8_t immediate_at, immediate_size;
};

// Reads what begins at `code`, of which `room` bytes may be read. False when
// those hold no whole instruction of 64-bit mode.
bool instruction_read(const uint8_t *code, size_t room,
                      struct instruction *instruction);

#endif
