// A plugin whose variables at fixed offsets begin as VALUE says, which no other
// of the stress has.

enum { WORDS = VALUE % 5 * 3 + 4 };
static __thread unsigned long long image[WORDS] = { [0 ... WORDS - 1] = VALUE };
static __thread unsigned long long zeros[VALUE % 4 + 1];

// `first`: this thread has not been here before, and leaves a trace.
long check(long first)
{
    for (int i = 0; i < WORDS; i++)
        if (image[i] != VALUE)
            return -1;
    if (!first)
        return 0;
    for (unsigned i = 0; i < sizeof zeros / sizeof *zeros; i++)
        if (zeros[i]++)
            return -1;
    return 0;
}
