// The names that plugins get from us although the host defines them, because
// glibc's functions cannot know a plugin that they did not map, or because it
// must be known what they were given. The list is closed: README and
// spec/conformance/design.lua hold the same names.

#include "overrides.h"

#include <stdatomic.h>
#include <string.h>

#include "../tls/tls.h"
#include "dl.h"
#include "thread_exit.h"
#include "unwind.h"
#include "wrappers.h"

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
    { "pthread_create", (void *)thread_create, NULL },
    { "thrd_create", (void *)thread_create_c11, NULL },
    { "pthread_key_create", (void *)key_create, NULL },
    { "__pthread_key_create", (void *)key_create, NULL },
    { "pthread_key_delete", (void *)key_delete, NULL },
    { "tss_create", (void *)key_create_c11, NULL },
    { "tss_delete", (void *)key_delete_c11, NULL },
    { "__register_atfork", (void *)at_fork, NULL },
    { "pthread_atfork", (void *)at_fork_unowned, NULL },
    { "__cxa_atexit", (void *)at_exit, NULL },
    { "__cxa_at_quick_exit", (void *)at_quick_exit_of, NULL },
    { "on_exit", (void *)at_exit_unowned, NULL },
    { "__cxa_finalize", (void *)at_end_of, NULL },
};

enum { COUNT = sizeof overrides / sizeof *overrides };

static _Atomic uint32_t hashes[COUNT];

// A bit for what the hashes of the names end with: nearly all imports are none
// of them.
static bool may_be(uint32_t hash)
{
    static _Atomic uint64_t bits[16];
    static atomic_bool made;
    if (!atomic_load_explicit(&made, memory_order_acquire)) {
        for (size_t i = 0; i < COUNT; i++) {
            uint32_t own = elf_gnu_hash(overrides[i].name);
            atomic_store(&hashes[i], own);
            atomic_fetch_or(&bits[own / 64 % 16], 1ull << own % 64);
        }
        atomic_store_explicit(&made, true, memory_order_release);
    }
    return atomic_load_explicit(&bits[hash / 64 % 16], memory_order_relaxed)
        >> hash % 64 & 1;
}

void *override_find(const char *name, uint32_t hash)
{
    if (!may_be(hash))
        return NULL;
    for (size_t i = 0; i < COUNT; i++)
        if (atomic_load_explicit(&hashes[i], memory_order_relaxed) == hash
            && strcmp(overrides[i].name, name) == 0)
            return overrides[i].ask ? overrides[i].ask()
                                    : overrides[i].address;
    return NULL;
}
