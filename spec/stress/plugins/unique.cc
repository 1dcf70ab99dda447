// A plugin with a unique symbol: it stays, as its runtime has one for all.

#include "program.h"

inline long counted = 5;
static long *const pointer = &counted;

BEGIN { stress_begun(ID); }
END { stress_ended(ID); }

extern "C" long value(long x)
{
    stress_expect(ID, pointer == &counted && counted == 5, "a unique symbol");
    return x + ID;
}
