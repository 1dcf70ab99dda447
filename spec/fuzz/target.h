// What the targets of the fuzzers share.

#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// The entry that libFuzzer and replay.c call.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A promise of the loader that a hostile file has broken.
#define target_check(condition)                                            \
    ((condition) ? (void)0                                                 \
                 : (fprintf(stderr, "%s:%d: broken: %s\n", __FILE__,       \
                            __LINE__, #condition), abort()))

// Keeps the compiler from leaving out what a value was made of.
static inline void target_use(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

#endif
