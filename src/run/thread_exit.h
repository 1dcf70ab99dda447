// What plugins' thread_local objects are destroyed by.

#ifndef RUN_THREAD_EXIT_H
#define RUN_THREAD_EXIT_H

// glibc's (Itanium C++ ABI 3.3.6.3, "Runtime API", with thread_local).
extern int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object,
                                    void *dso);

// What plugins get for it: `destroy` is called with the object when the thread
// ends, in glibc's own order, and what `dso` lies in stays mapped until then.
int thread_exit_add(void (*destroy)(void *), void *object, void *dso);

#endif
