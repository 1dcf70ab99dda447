// Words in code that are too narrow for what they refer to.

#ifndef LINK_FAR_H
#define LINK_FAR_H

#include <stddef.h>
#include <stdint.h>

#define FAR_STUB_SIZE 64

struct far_word {
    uint8_t *place;      // of the word, which has four bytes
    uint8_t *code;       // instructions lead from here to it, one by one
    const uint8_t *end;  // of the segment
    uint8_t *stub;       // FAR_STUB_SIZE bytes near it
    uint8_t *next_place; // of the next word that may be too narrow, or NULL
};

// Makes the instruction that holds the word a jump to the stub, which does the
// same with `target` in full: the value of the word (S + A), from which the
// place P has not been taken when it is `relative`. NULL, or why it cannot.
// Nothing of it may run meanwhile.
const char *far_rewrite(const struct far_word *word, uint64_t target,
                        int relative);

// Makes a stub of FAR_STUB_SIZE bytes a jump to the target.
void far_jump(uint8_t *stub, uint64_t target);

#endif
