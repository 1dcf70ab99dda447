// The frames of the calling thread's stack: libgcc_s is asked, which glibc
// opens itself for pthread_cancel and backtrace. It is not linked to: programs
// need it when there are plugins to be unwound.

#include "unwinder.h"

#include <stdatomic.h>
#include <stddef.h>

#include "glibc.h"

// Itanium C++ ABI: Exception Handling, 1.2 and 1.4; gcc's additions.
struct unwind_context;
typedef int trace(struct unwind_context *context, void *data);
typedef int backtrace_function(trace *visit, void *data);
typedef uintptr_t get_function(struct unwind_context *context);

static _Atomic(backtrace_function *) backtrace;
static _Atomic(get_function *) get_address, get_stack;

// Two threads may both do it, and find the same.
void host_know_unwinder(void *library)
{
    void *walk = glibc_dlsym(library, "_Unwind_Backtrace");
    void *address = glibc_dlsym(library, "_Unwind_GetIP");
    void *stack = glibc_dlsym(library, "_Unwind_GetCFA");
    if (!walk || !address || !stack) {
        glibc_dlerror();
        return;
    }
    atomic_store(&get_address, (get_function *)address);
    atomic_store(&get_stack, (get_function *)stack);
    atomic_store(&backtrace, (backtrace_function *)walk);
}

struct walk {
    void (*visit)(void *data, uintptr_t address, uintptr_t stack);
    void *data;
};

static int visit_frame(struct unwind_context *context, void *data)
{
    const struct walk *walk = data;
    walk->visit(walk->data, atomic_load(&get_address)(context),
                atomic_load(&get_stack)(context));
    return 0;
}

bool host_backtrace(void (*visit)(void *data, uintptr_t address,
                                  uintptr_t stack), void *data)
{
    struct walk walk = { visit, data };
    backtrace_function *function = atomic_load(&backtrace);
    if (function)
        function(visit_frame, &walk);
    return function != NULL;
}
