// The lock that glibc's loader holds while it opens and closes, constructors
// and destructors included (_dl_load_lock).

#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "../forks.h"
#include "detour.h"
#include "glibc.h"
#include "internals.h"

// It stands in the variables of ld.so, which have a symbol (_rtld_global,
// GLIBC_PRIVATE), right before the lock that guards the list of objects.
static _Atomic(pthread_mutex_t *) load_lock;

struct search {
    uintptr_t start, end; // of ld.so's variables
    pthread_mutex_t *found;
};

static bool is_mine(const pthread_mutex_t *mutex)
{
    return __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED)
        == gettid();
}

// Whoever is called by dl_iterate_phdr holds the lock of the list. Both are
// recursive.
static int find_list_lock(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    (void)info, (void)size;
    for (uintptr_t at = search->start + sizeof *search->found;
         at + sizeof *search->found <= search->end; at += sizeof(void *)) {
        pthread_mutex_t *list = (pthread_mutex_t *)at;
        if (list->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP
            && list->__data.__count == 1 && is_mine(list)
            && list[-1].__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP) {
            search->found = list - 1;
            break;
        }
    }
    return 1;
}

// The thread's own number before a fork, and whether it has the lock for it.
static __thread int forking __attribute__((tls_model("initial-exec")));
static __thread bool has __attribute__((tls_model("initial-exec")));

// Threads that fork and wait for it. Others that come for it again and again
// let them go first: a mutex knows no order, and whoever has it already gets it
// before one who must wake up.
static atomic_int forks;

// A child that is made while another thread is in the middle of dlopen has
// glibc's lists as they stand: its next dlopen ends at an assertion. Not for
// ever, though: the other thread may be in a constructor that waits for this
// one.
static void before_fork(void)
{
    enum { LONGEST_SECONDS = 5 };
    pthread_mutex_t *lock = atomic_load(&load_lock);
    struct timespec limit;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += LONGEST_SECONDS;
    forking = gettid();
    atomic_fetch_add(&forks, 1);
    has = lock && pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &limit) == 0;
    atomic_fetch_sub(&forks, 1);
}

// In a child glibc makes the load lock new, but leaves the list's as it was:
// held for ever when another thread was in dl_iterate_phdr.
static void after_fork(bool child)
{
    pthread_mutex_t *lock = atomic_load(&load_lock);
    if (has && !child)
        pthread_mutex_unlock(lock);
    has = false;
    if (!lock || !child)
        return;
    atomic_store(&forks, 0);
    pthread_mutex_t *list = lock + 1;
    if (list->__data.__owner == forking)
        list->__data.__owner = gettid(); // which is another number now
    else
        *list = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

bool host_lock_loader(void)
{
    pthread_mutex_t *lock = atomic_load(&load_lock);
    lock_check_none();
    while (lock && atomic_load(&forks) && !is_mine(lock))
        usleep(100);
    return lock && pthread_mutex_lock(lock) == 0;
}

void host_unlock_loader(bool locked)
{
    if (locked)
        pthread_mutex_unlock(atomic_load(&load_lock));
}

void host_find_load_lock(void)
{
    static const struct fork_part part = { before_fork, after_fork };
    forks_watch(FORK_LOADER, &part);
    struct host_snapshot *snapshot;
    if (atomic_load(&load_lock) || host_snapshot(&snapshot) != E64_OK)
        return;
    struct elf_name name = elf_name("_rtld_global");
    struct search search = { 0 };
    for (uint32_t i = 0; i < snapshot->module_count && !search.end; i++) {
        const struct host_module *module = snapshot->modules[i];
        Elf64_Sym symbol;
        if (module->startup
            && elf_find(&module->symbols, &name, ELF_WANT_NEWEST, &symbol)
            && symbol.st_shndx != SHN_UNDEF) {
            search.start = elf_symbol_value(&module->object, &symbol);
            search.end = search.start + symbol.st_size;
        }
    }
    host_snapshot_release(snapshot);
    host_iterate_phdr(find_list_lock, &search);
    atomic_store(&load_lock, search.found);
}

bool host_holds_load_lock(void)
{
    const pthread_mutex_t *lock = atomic_load(&load_lock);
    return !lock || is_mine(lock);
}
