// What compilers call for what the processor has no instruction for. libgcc.a
// has it hidden, so that every shared object has a copy of its own; an image of
// objects gets the loader's, which lies as long as the process does. libgcc_s
// may not even be loaded, where the host is not of C++.

#include "editor.h"

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
    X(__multc3) X(__divtc3) X(__cpu_indicator_init) X(__cpu_model)

// By other names in C, where the compiler knows some of them as functions.
#define DECLARE(name) extern const char libgcc_##name[] __asm__(#name);
HELPERS(DECLARE)

#define ROW(name) { #name, libgcc_##name },
const struct helper libgcc_helpers[] = { HELPERS(ROW) { 0, 0 } };
