// What compilers call for what the processor has no instruction for. libgcc.a
// has it hidden, so that every shared object has a copy of its own; an image of
// objects gets the loader's, which lies as long as the process does. libgcc_s
// may not even be loaded, where the host is not of C++.

#include "editor.h"

// Of _Float16 since gcc 12.
#if __GNUC__ >= 12
#define HALVES(X)                                                          \
    X(__extendhfsf2) X(__extendhfdf2) X(__extendhfxf2) X(__extendhftf2)    \
    X(__truncsfhf2) X(__truncdfhf2) X(__truncxfhf2) X(__trunctfhf2)        \
    X(__eqhf2) X(__nehf2) X(__fixhfti) X(__fixunshfti) X(__floattihf)      \
    X(__floatuntihf) X(__mulhc3) X(__divhc3)
#else
#define HALVES(X)
#endif

// Of __bf16 since gcc 13.
#if __GNUC__ >= 13
#define BRAINS(X)                                                          \
    X(__extendbfsf2) X(__truncsfbf2) X(__truncdfbf2) X(__truncxfbf2)       \
    X(__trunctfbf2) X(__trunchfbf2) X(__floattibf) X(__floatuntibf)
#else
#define BRAINS(X)
#endif

#define HELPERS(X)                                                         \
    X(__divti3) X(__modti3) X(__udivti3) X(__umodti3) X(__udivmodti4)      \
    X(__divmodti4) X(__multi3) X(__negti2) X(__ashlti3) X(__ashrti3)       \
    X(__lshrti3) X(__cmpti2) X(__ucmpti2) X(__clzti2) X(__ctzti2)          \
    X(__ffsti2) X(__parityti2) X(__popcountti2) X(__paritydi2)             \
    X(__popcountdi2) X(__clzdi2) X(__ctzdi2) X(__ffsdi2) X(__bswapdi2)     \
    X(__bswapsi2) X(__addvsi3) X(__addvdi3) X(__addvti3) X(__subvsi3)      \
    X(__subvdi3) X(__subvti3) X(__mulvsi3) X(__mulvdi3) X(__mulvti3)       \
    X(__negvsi2) X(__negvdi2) X(__negvti2) X(__absvsi2) X(__absvdi2)       \
    X(__absvti2) X(__powisf2) X(__powidf2) X(__powixf2) X(__mulsc3)        \
    X(__muldc3) X(__mulxc3) X(__divsc3) X(__divdc3) X(__divxc3)            \
    X(__fixsfti) X(__fixdfti) X(__fixxfti) X(__fixunssfti)                 \
    X(__fixunsdfti) X(__fixunsxfti) X(__floattisf) X(__floattidf)          \
    X(__floattixf) X(__floatuntisf) X(__floatuntidf) X(__floatuntixf)      \
    X(__addtf3) X(__subtf3) X(__multf3) X(__divtf3) X(__negtf2)            \
    X(__eqtf2) X(__netf2) X(__lttf2) X(__letf2) X(__gttf2) X(__getf2)      \
    X(__unordtf2) X(__extendsftf2) X(__extenddftf2) X(__extendxftf2)       \
    X(__trunctfsf2) X(__trunctfdf2) X(__trunctfxf2) X(__fixtfsi)           \
    X(__fixtfdi) X(__fixtfti) X(__fixunstfsi) X(__fixunstfdi)              \
    X(__fixunstfti) X(__floatsitf) X(__floatditf) X(__floattitf)           \
    X(__floatunsitf) X(__floatunditf) X(__floatuntitf) X(__powitf2)        \
    X(__multc3) X(__divtc3) X(__clrsbdi2) X(__clrsbti2) X(__extendsfdf2)   \
    X(__truncdfsf2) X(__fixunssfdi) X(__fixunsdfdi) X(__fixunsxfdi)        \
    X(__udiv_w_sdiv) X(__clear_cache) X(__enable_execute_stack)            \
    X(__cpu_indicator_init) X(__cpu_model) X(__cpu_features2)              \
    HALVES(X) BRAINS(X)

// By other names in C, where the compiler knows some of them as functions.
#define DECLARE(name) extern const char libgcc_##name[] __asm__(#name);
HELPERS(DECLARE)

#define ROW(name) { #name, libgcc_##name },
const struct helper libgcc_helpers[] = { HELPERS(ROW) { 0, 0 } };
