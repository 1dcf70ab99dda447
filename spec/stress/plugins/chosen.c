// A plugin with a function that a resolver chooses, from a table that has been
// relocated by then.

#include "program.h"

static long one(long x)
{
    return x + ID;
}

static long other(long x)
{
    stress_expect(ID, 0, "what the resolver has chosen");
    return x;
}

static long (*const functions[])(long) = { other, one };

static long (*choose(void))(long)
{
    return functions[1];
}

long FUNCTION(long x) __attribute__((ifunc("choose")));

BEGIN
{
    stress_begun(ID);
}

END
{
    stress_ended(ID);
}

long value(long x)
{
    return FUNCTION(x);
}
