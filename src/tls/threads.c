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
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"

#include "../error.h"
#include "../host/patch.h"
#include "../lock.h"
#include "../mapping.h"

// A lock of nothing but a word and a system call: it is taken by glibc's
// threads code with locks of its own held.
static atomic_int word;
// The thread that forks holds it all the while, and other fork handlers in it
// may create and end threads.
static _Atomic(char *) forking;

void threads_lock(void)
{
    int zero = 0;
    if (atomic_compare_exchange_strong(&word, &zero, 1))
        return;
    if (atomic_load(&forking) == pool_thread_pointer_x86_64())
        return;
    while (atomic_exchange(&word, 2))
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void threads_unlock(void)
{
    if (atomic_load(&forking) == pool_thread_pointer_x86_64())
        return;
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

// False when there is no memory for one more.
static bool add(char *thread_pointer)
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
    return add(thread_pointer);
}

static struct host_threads host;

// The thread sanitizer takes the beginning of a thread for a write to all of
// its storage, and does not see that a thread is there to be found because it
// has begun: it would have each access to that storage race with it. What lies
// there is the kernel's, or nobody's: the thread comes to know of it later.
#define UNSEEN __attribute__((noinline, no_sanitize("thread")))

static UNSEEN int read_tid(const char *thread_pointer)
{
    return *(const int *)(thread_pointer + host.tid);
}

static UNSEEN void write_unused(char *to, const char *from, size_t size)
{
#ifdef __SANITIZE_THREAD__
    // Not by memcpy, which is the sanitizer's.
    volatile char *byte = to;
    for (size_t i = 0; i < size; i++)
        byte[i] = from[i];
#else
    memcpy(to, from, size);
#endif
}

size_t threads_list(int *tids, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < set_size; i++) {
        if (!set[i])
            continue;
        int tid = read_tid(set[i]);
        if (tid > 0 && count < room)
            tids[count] = tid;
        count += tid > 0;
    }
    return count;
}

// --------------------------------------------------------------- the hooks ---

static atomic_ullong publications; // that are complete
static struct pool_area *known;    // areas that have been written to

static struct host_thread_functions original;

// A new block: copied again if a publication came while glibc was copying.
static void enter(char *block, unsigned long long before)
{
    if (!block)
        return;
    threads_lock();
    // Without memory for it, publishing is over: see threads_publish.
    if (!add(block))
        ended_overflow = true;
    if (adopting)
        forget_ended(block);
    if (atomic_load(&publications) != before)
        for (const struct pool_area *area = known; area; area = area->known)
            memcpy(block + area->tp_offset, area->image, area->written);
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

// ---------------------------------------------------------------- install ---

// One at a time installs or publishes. glibc is called under it, but nothing
// that takes the lock of its loader: that may be held by who waits for this
// one.
static struct lock publishing = LOCK_INITIALIZER;
static bool looked; // `host` and the pool's image are filled
static bool hooked; // libc's slots have been set
static bool adopted; // and the set is complete

static char *own_image; // of the pool
static bool sealed;     // which is read-only

static e64_status find_image(char **image, bool *is_sealed)
{
    char *segment = host_own_tls_image((const void *)&publishing, is_sealed);
    if (!segment)
        return fail(E64_UNSUPPORTED, "the loader's own thread-local storage "
                    "was not found");
    *image = segment + pool_segment_offset_x86_64();
    return E64_OK;
}

// The pool's image lies in RELRO: its pages are writable only while it is
// written to. Others lie in anchors.
static e64_status protect_image(const struct pool_area *area, bool writable)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)own_image & ~(page - 1);
    uintptr_t stop = ((uintptr_t)own_image + e64_tls_pool_size + page - 1)
                   & ~(page - 1);
    bool own = !area->image || area->image == own_image;
    if (!own || !sealed)
        return E64_OK;
    if (writable ? mprotect((void *)start, stop - start,
                            PROT_READ | PROT_WRITE) != 0
                 : !mapping_seal((void *)start, stop - start, PROT_READ))
        return fail_system("the protection of the image of the loader's "
                           "thread-local storage cannot be changed");
    return E64_OK;
}

// Asks glibc's loader, hence before the lock is taken; twice does no harm.
static e64_status look(void)
{
    lock_take(&publishing);
    bool done = looked;
    lock_give(&publishing);
    if (done)
        return E64_OK;
    struct host_threads threads;
    char *image = NULL;
    bool is_sealed;
    e64_status status = find_image(&image, &is_sealed);
    if (status == E64_OK)
        status = host_find_threads(&threads);
    if (status != E64_OK)
        return status;
    lock_take(&publishing);
    if (!looked) {
        int protection = host_protection((uintptr_t)image);
        sealed = protection < 0 ? is_sealed : !(protection & PROT_WRITE);
        host = threads;
        own_image = image;
        looked = true;
    }
    lock_give(&publishing);
    return E64_OK;
}

static e64_status hook(bool alone)
{
    static const struct host_thread_functions ours = {
        on_allocate, on_initialise, on_deallocate };
    static atomic_bool bound; // a forked child may see `original` half written
    e64_status status = E64_OK;
    if (!atomic_load(&bound))
        status = host_bind_threads(&host, alone, &original);
    if (status != E64_OK)
        return status;
    atomic_store(&bound, true);
    status = host_set_threads(&host, &ours);
    hooked = status == E64_OK;
    return status;
}

// Begins afresh, with this thread alone. `alone`: there are no others.
static e64_status adopt(bool alone)
{
    threads_lock();
    if (set)
        memset(set, 0, set_size * sizeof *set);
    set_count = 0;
    ended_count = 0;
    ended_overflow = false;
    adopting = true;
    bool added = add(pool_thread_pointer_x86_64());
    threads_unlock();
    e64_status status = added ? E64_OK : fail_memory(1024 * sizeof *set);
    if (status == E64_OK && !alone && !host.tid)
        status = host_find_tid(&host);
    if (status == E64_OK && !alone)
        status = threads_find_x86_64(&host);
    threads_lock();
    adopting = false;
    threads_unlock();
    adopted = status == E64_OK;
    return status;
}

// What the hooks did not see has no place in the set, and may be in it although
// it has ended: if they were not there all the while, all is learnt again.
static e64_status install(bool alone)
{
    enum { TRIES = 8 };
    e64_status status = E64_OK;
    for (int i = 0; status == E64_OK && i < TRIES; i++) {
        bool lost = hooked && host_threads_lost(&host, &original);
        if (adopted && !lost && !ended_overflow)
            return E64_OK;
        adopted = false;
        if (!hooked || lost)
            status = hook(alone);
        if (status == E64_OK)
            status = adopt(alone);
    }
    return status != E64_OK ? status
        : fail(E64_UNSUPPORTED, "libc's imports of _dl_allocate_tls and its "
               "kin do not stay as they are set");
}

// With the registry's lock.
static void know(struct pool_area *area)
{
    if (area->is_known)
        return;
    if (!area->image)
        area->image = own_image;
    area->known = known;
    area->is_known = true;
    known = area;
}

static void write_all(const struct pool_place *place, const void *from,
                      uint64_t filled)
{
    struct pool_area *area = place->area;
    threads_lock();
    know(area);
    char *image = area->image + place->offset;
    memcpy(image, from, filled);
    memset(image + filled, 0, place->size - filled);
    if (place->offset + place->size > area->written)
        area->written = place->offset + place->size;
    ptrdiff_t at = area->tp_offset + (ptrdiff_t)place->offset;
    for (size_t i = 0; i < set_size; i++)
        if (set[i])
            write_unused(set[i] + at, image, place->size);
    atomic_fetch_add_explicit(&publications, 1, memory_order_release);
    threads_unlock();
}

e64_status threads_publish(const char *name, const struct pool_place *place,
                           const void *from, uint64_t filled, bool *written)
{
    // Before threads are created to look into glibc.
    bool alone = __libc_single_threaded;
    e64_status status = look();
    if (status == E64_OK) {
        lock_take(&publishing);
        status = install(alone);
        if (status == E64_OK)
            status = protect_image(place->area, true);
        if (status == E64_OK) {
            write_all(place, from, filled);
            *written = true;
            status = protect_image(place->area, false);
        }
        lock_give(&publishing);
    }
    if (status == E64_OK)
        return status;
    e64_error reason;
    error_save(&reason);
    fail(status, "%s: its thread-local variables do not begin as zeros, or "
         "lie where others were, and cannot be written to all threads: %s",
         name, reason.message);
    error_path(name);
    error_errno(reason.system_errno);
    return status;
}

// ------------------------------------------------------------------- fork ---

void threads_before_fork(void)
{
    threads_lock();
    atomic_store(&forking, pool_thread_pointer_x86_64());
}

// The child has one thread, whichever called; `publishing` may be another's.
void threads_after_fork(bool child)
{
    atomic_store(&forking, NULL);
    if (!child) {
        threads_unlock();
        return;
    }
    lock_make(&publishing);
    if (set)
        memset(set, 0, set_size * sizeof *set);
    set_count = 0;
    adopting = false;
    if (adopted && !add(pool_thread_pointer_x86_64()))
        ended_overflow = true;
    atomic_store(&word, 0);
}
