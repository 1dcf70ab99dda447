// A plugin with thread-local variables at fixed offsets, some of which do not
// begin as zeros. No thread may find what an earlier one has left there.

#include "program.h"

enum { WORDS = ID % 5 * 2 + 3 };
static __thread long image[WORDS] = { [0 ... WORDS - 1] = ID * 1000003L };
static __thread long seen;
static long cell;

BEGIN
{
    cell = stress_begun(ID);
}

END
{
    cell = -1;
    stress_ended(ID);
}

long value(long x)
{
    stress_expect(ID, cell >= 0, "data of one that has been stopped");
    for (int i = 1; i < WORDS; i++)
        stress_expect(ID, image[i] == ID * 1000003L,
                      "the image of a thread-local variable");
    if (cell > 0) {
        stress_expect(ID, seen == 0 || seen == cell,
                      "a thread-local variable that begins as zero");
        stress_expect(ID, image[0] == (seen ? cell : ID * 1000003L),
                      "a thread-local variable that was written");
        image[0] = seen = cell;
    }
    return x + ID;
}
