// The micro-architecture levels of the x86-64 psABI (table 3.1) against what
// this processor and its kernel offer.

#include <cpuid.h>
#include <stdatomic.h>
#include <sys/platform/x86.h>

#include "notes.h"

struct leaves {
    uint32_t one_c;          // leaf 1
    uint32_t seven_b;        // leaf 7, 0
    uint32_t extended_c;     // leaf 0x80000001
    uint64_t saved;          // XCR0: what the kernel saves for us
};

// What the processor has told ld.so: cpuid leaves a virtual machine each time,
// which takes tens of microseconds.
static const unsigned *registers_of(unsigned leaf)
{
    return __x86_get_cpuid_feature_leaf(leaf)->cpuid_array;
}

static struct leaves read_leaves(void)
{
    enum { EBX = 1, ECX = 2 };
    struct leaves leaves = {
        .one_c = registers_of(CPUID_INDEX_1)[ECX],
        .seven_b = registers_of(CPUID_INDEX_7)[EBX],
        .extended_c = registers_of(CPUID_INDEX_80000001)[ECX],
    };
    uint32_t a, d;
    if (leaves.one_c & bit_OSXSAVE) {
        __asm__ volatile ("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        leaves.saved = (uint64_t)d << 32 | a;
    }
    return leaves;
}

static bool all(uint64_t have, uint64_t need)
{
    return (have & need) == need;
}

static uint32_t levels_here(void)
{
    enum { YMM = 0x6, ZMM = 0xe6 }; // state components in XCR0
    enum { LAHF = 1 << 0, LZCNT = 1 << 5 };
    struct leaves cpu = read_leaves();
    uint32_t levels = GNU_PROPERTY_X86_ISA_1_BASELINE;
    if (!all(cpu.one_c, bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1
                        | bit_SSE4_2 | bit_POPCNT)
        || !all(cpu.extended_c, LAHF))
        return levels;
    levels |= GNU_PROPERTY_X86_ISA_1_V2;
    if (!all(cpu.one_c, bit_AVX | bit_F16C | bit_FMA | bit_MOVBE)
        || !all(cpu.seven_b, bit_AVX2 | bit_BMI | bit_BMI2)
        || !all(cpu.extended_c, LZCNT) || !all(cpu.saved, YMM))
        return levels;
    levels |= GNU_PROPERTY_X86_ISA_1_V3;
    if (!all(cpu.seven_b, bit_AVX512F | bit_AVX512BW | bit_AVX512CD
                          | bit_AVX512DQ | bit_AVX512VL)
        || !all(cpu.saved, ZMM))
        return levels;
    return levels | GNU_PROPERTY_X86_ISA_1_V4;
}

const char *elf_isa_name_x86_64(uint32_t lacking)
{
    return lacking & GNU_PROPERTY_X86_ISA_1_V2 ? "x86-64-v2"
         : lacking & GNU_PROPERTY_X86_ISA_1_V3 ? "x86-64-v3"
         : lacking & GNU_PROPERTY_X86_ISA_1_V4 ? "x86-64-v4"
         : "an unknown level";
}

uint32_t elf_isa_lacking_x86_64(uint32_t levels)
{
    // What runs this has the baseline.
    static atomic_uint known;
    if (!(levels & ~GNU_PROPERTY_X86_ISA_1_BASELINE))
        return 0;
    uint32_t here = atomic_load(&known);
    if (!here) {
        here = levels_here();
        atomic_store(&known, here);
    }
    return levels & ~here;
}
