// The names that plugins get from us although the host defines them, because
// glibc's functions cannot know a plugin that they did not map. The list is
// closed: spec/conformance/design.lua holds the same names.

#include "overrides.h"

#include <string.h>

#include "../tls/tls.h"
#include "dl.h"
#include "thread_exit.h"
#include "unwind.h"

static const struct {
    const char *name;
    void *address;
    void *(*ask)(void); // in place of it
} overrides[] = {
    { "__tls_get_addr", NULL, tls_get_addr_entry },
    { "__cxa_thread_atexit", (void *)thread_exit_add, NULL },
    { "__cxa_thread_atexit_impl", (void *)thread_exit_add, NULL },
    { "dlopen", (void *)dlopen_x86_64, NULL },
    { "dlmopen", (void *)dlmopen_x86_64, NULL },
    { "dlclose", (void *)dlclose_x86_64, NULL },
    { "dlsym", (void *)dlsym_x86_64, NULL },
    { "dlvsym", (void *)dlvsym_x86_64, NULL },
    { "dlerror", (void *)dlerror_x86_64, NULL },
    { "dladdr", (void *)dladdr_x86_64, NULL },
    { "dladdr1", (void *)dladdr1_x86_64, NULL },
    { "dlinfo", (void *)dlinfo_x86_64, NULL },
    { "dl_iterate_phdr", (void *)unwind_iterate_phdr, NULL },
    { "_dl_find_object", (void *)unwind_find_object, NULL },
    { "backtrace_symbols", (void *)backtrace_symbols_x86_64, NULL },
    { "backtrace_symbols_fd", (void *)backtrace_symbols_fd_x86_64, NULL },
};

void *override_find(const char *name)
{
    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++)
        if (strcmp(overrides[i].name, name) == 0)
            return overrides[i].ask ? overrides[i].ask()
                                    : overrides[i].address;
    return NULL;
}
