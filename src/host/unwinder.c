// The frames of the calling thread's stack: libgcc_s is asked, which glibc
// opens itself for pthread_cancel and backtrace. It is not linked to, and is
// opened when it is first needed: its constructor asks the processor for what
// it can do, which takes long in a virtual machine.

#include "unwinder.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "../error.h"
#include "glibc.h"
#include "host.h"

// Itanium C++ ABI: Exception Handling, 1.2 and 1.4; gcc's additions.
struct unwind_context;
typedef int trace(struct unwind_context *context, void *data);
typedef int backtrace_function(trace *visit, void *data);
typedef uintptr_t get_function(struct unwind_context *context);

static _Atomic(backtrace_function *) backtrace;
static _Atomic(get_function *) get_address, get_stack;

// Two threads may both do it, and find the same.
static void know(void *library)
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

e64_status host_open_unwinder(void)
{
    void *library = glibc_dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library) {
        know(library);
        return E64_OK;
    }
    const char *reason = glibc_dlerror();
    errno = reason ? host_shortage(reason) : 0;
    return errno ? fail_system("glibc cannot open libgcc_s.so.1, by which it "
                               "unwinds") : E64_OK;
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

// A failure that is pending is the caller's.
static __attribute__((noinline)) void open_quietly(void)
{
    e64_error error;
    error_save(&error);
    host_open_unwinder();
    error_restore(&error);
}

bool host_backtrace(void (*visit)(void *data, uintptr_t address,
                                  uintptr_t stack), void *data)
{
    struct walk walk = { visit, data };
    if (!atomic_load(&backtrace))
        open_quietly();
    backtrace_function *function = atomic_load(&backtrace);
    if (function)
        function(visit_frame, &walk);
    return function != NULL;
}
