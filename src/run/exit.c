// The end of the process. What is still open is stopped when glibc finalises
// the object that this loader is part of: after all atexit handlers, as ld.so
// does with what dlopen opened, and after the destructors of an executable that
// the loader is linked into.

#include "run.h"

// Priority 101 runs last of an object's destructors.
__attribute__((destructor(101))) static void stop_all(void)
{
    for (e64_runtime *runtime = runtime_first(); runtime;
         runtime = runtime->next)
        close_at_exit(runtime);
}
