// The registry of threads, and how it is kept: glibc's libc calls three
// functions of its ld.so for each thread that it makes or ends, through slots
// that are pointed at ours.
//
// Why not write to all threads when a plugin comes? glibc copies the initial
// image into a new thread's block long before the thread exists: one whose
// creator was interrupted in between would start with the old image, and no
// list of threads shows it. So a block is entered when it is made, and copied
// again when a publication came in between.

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"

#include "../error.h"
#include "../host/internals.h"
#include "../host/patch.h"
#include "pool.h"

// A lock of nothing but a word and a system call: it is taken by glibc's
// threads code with locks of its own held.
static atomic_int word;

void threads_lock(void)
{
    int zero = 0;
    if (atomic_compare_exchange_strong(&word, &zero, 1))
        return;
    while (atomic_exchange(&word, 2))
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void threads_unlock(void)
{
    if (atomic_exchange(&word, 0) == 2)
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
}

// ---------------------------------------------------------------- the set ---

// Open addressing with linear probing, in memory from mmap: malloc must not be
// called by what runs inside of pthread_create.
static char **set;
static size_t set_size, set_count;
static char **ended; // thread pointers that were freed while adopting
static size_t ended_size, ended_count;
static bool adopting, ended_overflow;

static void *map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static size_t home(const char *pointer)
{
    return ((uintptr_t)pointer >> 6) * 0x9e3779b97f4a7c15ull >> 32;
}

static size_t place(const char *pointer)
{
    size_t at = home(pointer) & (set_size - 1);
    while (set[at] && set[at] != pointer)
        at = (at + 1) & (set_size - 1);
    return at;
}

static bool grow(void)
{
    size_t old_size = set_size;
    char **old = set;
    char **larger = map((old_size ? 2 * old_size : 1024) * sizeof *larger);
    if (!larger)
        return false;
    set = larger;
    set_size = old_size ? 2 * old_size : 1024;
    for (size_t i = 0; i < old_size; i++)
        if (old[i])
            set[place(old[i])] = old[i];
    if (old)
        munmap(old, old_size * sizeof *old);
    return true;
}

bool threads_add(char *thread_pointer)
{
    if (2 * (set_count + 1) > set_size && !grow())
        return false;
    size_t at = place(thread_pointer);
    if (!set[at]) {
        set[at] = thread_pointer;
        set_count++;
    }
    return true;
}

// Moves later entries of the chain back, so that none is cut off.
static void take_out(const char *thread_pointer)
{
    size_t hole = set_size ? place(thread_pointer) : 0;
    if (!set_size || !set[hole])
        return;
    set_count--;
    for (size_t at = hole;;) {
        set[hole] = NULL;
        size_t wanted;
        do {
            at = (at + 1) & (set_size - 1);
            if (!set[at])
                return;
            wanted = home(set[at]) & (set_size - 1);
            // May it stay behind the hole?
        } while (hole <= at ? hole < wanted && wanted <= at
                            : hole < wanted || wanted <= at);
        set[hole] = set[at];
        hole = at;
    }
}

static void note_ended(char *thread_pointer)
{
    if (ended_count == ended_size) {
        size_t size = ended_size ? 2 * ended_size : 1024;
        char **larger = map(size * sizeof *larger);
        if (!larger) {
            ended_overflow = true;
            return;
        }
        if (ended) {
            memcpy(larger, ended, ended_count * sizeof *ended);
            munmap(ended, ended_size * sizeof *ended);
        }
        ended = larger;
        ended_size = size;
    }
    ended[ended_count++] = thread_pointer;
}

static void forget_ended(const char *thread_pointer)
{
    for (size_t i = 0; i < ended_count; i++)
        if (ended[i] == thread_pointer)
            ended[i--] = ended[--ended_count];
}

bool threads_adopt(char *thread_pointer)
{
    if (ended_overflow)
        return false;
    for (size_t i = 0; i < ended_count; i++)
        if (ended[i] == thread_pointer)
            return true;
    return threads_add(thread_pointer);
}

size_t threads_list(int *tids, size_t room)
{
    ptrdiff_t offset = host_tid_offset();
    size_t count = 0;
    for (size_t i = 0; i < set_size; i++) {
        if (!set[i])
            continue;
        int tid;
        memcpy(&tid, set[i] + offset, sizeof tid);
        if (tid > 0 && count < room)
            tids[count] = tid;
        count += tid > 0;
    }
    return count;
}

// --------------------------------------------------------------- the hooks ---

static atomic_ullong publications; // that are complete
static char *image;  // what new threads' pools begin as
static bool sealed;  // it is read-only
static uint64_t end; // of what has been published in it

static struct host_thread_functions original;

// A new block: copied again if a publication came while glibc was copying.
static void enter(char *block, unsigned long long before)
{
    if (!block)
        return;
    threads_lock();
    // Without memory for it, publishing is over: see threads_publish.
    if (!threads_add(block))
        ended_overflow = true;
    if (adopting)
        forget_ended(block);
    if (atomic_load(&publications) != before)
        memcpy(block + pool_tp_offset_x86_64(), image, end);
    threads_unlock();
}

static void *on_allocate(void *memory)
{
    unsigned long long before = atomic_load_explicit(&publications,
                                                     memory_order_acquire);
    void *block = original.allocate(memory);
    enter(block, before);
    return block;
}

static void *on_initialise(void *memory, bool main_thread)
{
    unsigned long long before = atomic_load_explicit(&publications,
                                                     memory_order_acquire);
    void *block = original.initialise(memory, main_thread);
    enter(block, before);
    return block;
}

static void on_deallocate(void *block, bool free_block)
{
    if (block) {
        threads_lock();
        take_out(block);
        if (adopting)
            note_ended(block);
        threads_unlock();
    }
    original.deallocate(block, free_block);
}

// ------------------------------------------------------------------- fork ---

static void before_fork(void)
{
    threads_lock();
}

static void after_fork(void)
{
    threads_unlock();
}

// The child has one thread, whichever called.
static void in_child(void)
{
    if (set)
        memset(set, 0, set_size * sizeof *set);
    set_count = 0;
    threads_add(pool_thread_pointer_x86_64());
    atomic_store(&word, 0);
}

// ---------------------------------------------------------------- install ---

// One at a time installs or publishes; not a leaf: glibc is called under it by
// the first, but by nothing that glibc calls.
static pthread_mutex_t publishing = PTHREAD_MUTEX_INITIALIZER;
static bool installed;

static e64_status find_image(void)
{
    char *segment = host_own_tls_image((const void *)&publishing);
    if (!segment)
        return fail(E64_UNSUPPORTED, "the loader's own thread-local storage "
                    "was not found");
    image = segment + pool_segment_offset_x86_64();
    int protection = host_protection((uintptr_t)image);
    sealed = protection < 0 || !(protection & PROT_WRITE);
    return E64_OK;
}

// The image lies in RELRO: its pages are writable only while it is written to.
static e64_status protect_image(int protection)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)image & ~(page - 1);
    uintptr_t stop = ((uintptr_t)image + e64_tls_pool_size + page - 1)
                   & ~(page - 1);
    if (sealed && mprotect((void *)start, stop - start, protection) != 0)
        return fail_system("the protection of the image of the loader's "
                           "thread-local storage cannot be changed");
    return E64_OK;
}

static e64_status install(void)
{
    static const struct host_thread_functions ours = {
        on_allocate, on_initialise, on_deallocate };
    e64_status status = find_image();
    if (status == E64_OK)
        status = host_find_thread_functions(&original);
    if (status != E64_OK)
        return status;
    threads_lock();
    adopting = true;
    bool added = threads_add(pool_thread_pointer_x86_64());
    threads_unlock();
    if (!added)
        return fail_memory(1024 * sizeof *set);
    status = host_set_thread_functions(&ours);
    if (status == E64_OK)
        status = threads_find_x86_64();
    threads_lock();
    adopting = false;
    ended_count = 0;
    threads_unlock();
    if (status == E64_OK
        && pthread_atfork(before_fork, after_fork, in_child) != 0)
        status = fail_memory(sizeof(void *));
    return status;
}

static void write_all(uint64_t offset, const void *from, uint64_t filled,
                      uint64_t size)
{
    ptrdiff_t pool = pool_tp_offset_x86_64();
    threads_lock();
    memcpy(image + offset, from, filled);
    memset(image + offset + filled, 0, size - filled);
    if (offset + size > end)
        end = offset + size;
    for (size_t i = 0; i < set_size; i++)
        if (set[i])
            memcpy(set[i] + pool + offset, image + offset, size);
    atomic_fetch_add_explicit(&publications, 1, memory_order_release);
    threads_unlock();
}

e64_status threads_publish(const char *name, uint64_t offset,
                           const void *from, uint64_t filled, uint64_t size)
{
    static bool failed;
    e64_status status = E64_OK;
    pthread_mutex_lock(&publishing);
    if (!installed && !failed) {
        status = install();
        installed = status == E64_OK;
        failed = !installed;
    }
    if (status == E64_OK && (failed || ended_overflow))
        status = fail(E64_UNSUPPORTED, "%s: its thread-local variables do not "
                      "begin as zeros, and which threads the process has "
                      "could not be found out", name);
    if (status == E64_OK)
        status = protect_image(PROT_READ | PROT_WRITE);
    if (status == E64_OK) {
        write_all(offset, from, filled, size);
        status = protect_image(PROT_READ);
    }
    pthread_mutex_unlock(&publishing);
    if (status != E64_OK)
        error_path(name);
    return status;
}
