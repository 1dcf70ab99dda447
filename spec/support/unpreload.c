// A sanitizer's runtime is preloaded into a plain lua5.4, and into that alone:
// the compilers and shells that specs start are not ours to judge, and have
// leaks of their own.

#include <stdlib.h>

__attribute__((constructor)) static void forget(void)
{
    unsetenv("LD_PRELOAD");
}
