// A plugin that checks its data and what it needs. FUNCTION, if there is one, is
// what others need of it; MAYBE is what one that is opened `global` has.

#include "program.h"

static long cell;
static long *const pointer = &cell;
static __thread long calls;

#define NEED(function, id) extern long function(long);
NEEDS
#undef NEED

#ifdef MAYBE
extern long MAYBE(long) __attribute__((weak));
#endif

BEGIN
{
    cell = stress_begun(ID);
}

END
{
    stress_started(ID, cell > 0);
    cell = -1;
    stress_ended(ID);
}

static long answer(long x)
{
    stress_expect(ID, pointer == &cell, "a pointer to data");
    stress_expect(ID, cell >= 0, "data of one that has been stopped");
    stress_started(ID, cell > 0);
    stress_expect(ID, ++calls > 0, "a thread-local variable");
    return x + ID;
}

#ifdef FUNCTION
long FUNCTION(long x)
{
    return answer(x);
}
#endif

long value(long x)
{
#define NEED(function, id) \
    stress_expect(ID, function(x) == x + id, "what " #function " answers");
    NEEDS
#undef NEED
#ifdef MAYBE
    if (MAYBE)
        stress_expect(ID, MAYBE(x) == x + MAYBE_ID, "what is global");
#endif
    return answer(x);
}
