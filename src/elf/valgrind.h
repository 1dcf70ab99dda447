// Whether the program runs under valgrind.

#ifndef ELF_VALGRIND_H
#define ELF_VALGRIND_H

#include <stdbool.h>

bool valgrind_runs_us_x86_64(void);

#endif
