// What plugins register to be called when they are closed or the process ends.

#ifndef RUN_EXITS_H
#define RUN_EXITS_H

// As glibc's __cxa_atexit and __cxa_finalize (Itanium C++ ABI 3.3.6.3).
int exits_add(void (*function)(void *), void *data, void *dso);
void exits_run(void *dso);

#endif
