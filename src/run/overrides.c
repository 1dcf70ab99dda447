// The names that plugins get from us although the host defines them, because
// glibc's functions cannot know a plugin that they did not map. The list is
// closed: spec/conformance/design.lua holds the same names.

#include "overrides.h"

#include <string.h>

#include "../tls/tls.h"
#include "dl.h"
#include "thread_exit.h"
#include "unwind.h"

const struct link_override override_table[] = {
    { "__tls_get_addr", (void *)tls_get_addr },
    { "__cxa_thread_atexit", (void *)thread_exit_add },
    { "__cxa_thread_atexit_impl", (void *)thread_exit_add },
    { "dlopen", (void *)dlopen_x86_64 },
    { "dlmopen", (void *)dlmopen_x86_64 },
    { "dlclose", (void *)dlclose_x86_64 },
    { "dlsym", (void *)dlsym_x86_64 },
    { "dlvsym", (void *)dlvsym_x86_64 },
    { "dlerror", (void *)dlerror_x86_64 },
    { "dladdr", (void *)dladdr_x86_64 },
    { "dladdr1", (void *)dladdr1_x86_64 },
    { "dlinfo", (void *)dlinfo_x86_64 },
    { "dl_iterate_phdr", (void *)unwind_iterate_phdr },
    { "_dl_find_object", (void *)unwind_find_object },
    { "backtrace_symbols", (void *)backtrace_symbols_x86_64 },
    { "backtrace_symbols_fd", (void *)backtrace_symbols_fd_x86_64 },
};

const uint32_t override_count = sizeof override_table / sizeof *override_table;

void *override_find(const char *name)
{
    for (uint32_t i = 0; i < override_count; i++)
        if (strcmp(override_table[i].name, name) == 0)
            return override_table[i].address;
    return NULL;
}
