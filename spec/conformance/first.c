// Linked with DF_1_INITFIRST and the library that is compared: what is to be
// done when all is relocated and no constructor has run.

#include <stdlib.h>

static void __attribute__((constructor)) first(void)
{
    void (*report)(void) = (void (*)(void))strtoul(getenv("SIDE_REPORT"), NULL,
                                                   16);
    report();
}
