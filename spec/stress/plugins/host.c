// A library that the host opens. The constructor of one that OPENS another has
// us do so, in the middle of glibc's dlopen.

#include "program.h"

static long cell;
#ifdef OPENS
static void *opened;
#endif

BEGIN
{
    cell = stress_begun(ID);
#ifdef OPENS
    opened = stress_any(OPENS);
#endif
}

END
{
#ifdef OPENS
    stress_close(OPENS, opened);
#endif
    stress_started(ID, cell > 0);
    cell = -1;
    stress_ended(ID);
}

long FUNCTION(long x)
{
    stress_expect(ID, cell >= 0, "data of one that has been stopped");
    return x + ID;
}

long value(long x)
{
    return FUNCTION(x);
}
