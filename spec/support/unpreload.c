// A sanitizer's runtime is preloaded into a plain lua5.4, and into what is
// started by ELF64LOAD_HOST. The shells and compilers that specs start are not
// ours to judge: they have leaks of their own, and a shell does not even start
// with the thread sanitizer's.

#include <stdlib.h>

__attribute__((constructor)) static void forget(void)
{
    unsetenv("LD_PRELOAD");
}
