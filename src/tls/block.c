// Each thread's blocks, made at first access and freed when the thread has
// ended.

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lock.h"
#include "../memory.h"
#include "module.h"

struct thread {
    struct tls_table *table; // what tls_self is
    void **memory; // what to free of each block; NULL for one in the pool
    uint64_t count; // of these
    uint64_t used;  // blocks that there are
    struct thread *next, **link; // in the list of all
    struct thread *after; // in the queue of those that end
    pid_t id;             // set for that queue
};

// So that whoever looks need not ask whether there is a table. Never written
// to, so that it is the kernel's page of zeros, many times.
static struct tls_table nothing;

// Initial-exec: found without a call.
__thread struct tls_table *tls_self
    __attribute__((visibility("hidden"), tls_model("initial-exec"))) = &nothing;

// Guards the list of threads, and all that is written to their tables. A leaf:
// nothing but memory is called under it.
// Recursive because of fork: see forks.h.
static struct lock lock = LOCK_INITIALIZER;
static struct thread *threads;

static pthread_key_t key;

// Threads that run their last destructors or have ended, the first to do so
// first. Their blocks are still there: destructors of other keys may use
// thread-local variables, and no destructor can be sure to be the last.
static struct thread *ending, **ending_tail = &ending;

// How many of them are looked at when another one comes: more than one, so that
// they become fewer.
enum { LOOKS = 8 };

static void free_thread(struct thread *thread)
{
    for (uint64_t i = 0; i < thread->count; i++)
        memory_free(thread->memory[i]);
    memory_free(thread->memory);
    munmap(thread->table, sizeof *thread->table);
    memory_free(thread);
}

static void unlist(struct thread *thread)
{
    *thread->link = thread->next;
    if (thread->next)
        thread->next->link = thread->link;
}

static void enqueue(struct thread *thread)
{
    thread->after = NULL;
    *ending_tail = thread;
    ending_tail = &thread->after;
}

static struct thread *dequeue(void)
{
    struct thread *first = ending;
    ending = first->after;
    if (!ending)
        ending_tail = &ending;
    return first;
}

// 0 for a thread that is there, else why it cannot be found.
static int look_for(pid_t id)
{
    int saved = errno;
    int error = syscall(SYS_tgkill, getpid(), id, 0) ? errno : 0;
    errno = saved;
    return error;
}

// Frees what threads had that have ended since.
static void reap(void)
{
    struct thread *gone = NULL;
    lock_take(&lock);
    for (int looks = 0; ending && looks < LOOKS; looks++) {
        struct thread *thread = dequeue();
        if (look_for(thread->id) == ESRCH) {
            unlist(thread);
            thread->after = gone;
            gone = thread;
        } else {
            enqueue(thread);
        }
    }
    lock_give(&lock);
    while (gone) {
        struct thread *thread = gone;
        gone = thread->after;
        free_thread(thread);
    }
}

static void at_thread_exit(void *data)
{
    struct thread *thread = data;
    reap();
    thread->id = (pid_t)syscall(SYS_gettid);
    // Where it is forbidden to ask, nobody would see that it has ended.
    bool askable = look_for(thread->id) == 0;
    lock_take(&lock);
    if (askable)
        enqueue(thread);
    else
        unlist(thread);
    lock_give(&lock);
    if (!askable) {
        tls_self = &nothing;
        free_thread(thread);
    }
}

bool tls_blocks_prepare(void)
{
    static bool made;
    lock_take(&lock);
    if (!made)
        made = pthread_key_create(&key, at_thread_exit) == 0;
    bool prepared = made;
    lock_give(&lock);
    return prepared;
}

static struct thread *make_thread(void)
{
    reap();
    struct thread *thread = memory_new(sizeof *thread);
    struct tls_table *table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!thread || table == MAP_FAILED
        || pthread_setspecific(key, thread) != 0) {
        if (table != MAP_FAILED)
            munmap(table, sizeof *table);
        memory_free(thread);
        return NULL;
    }
    table->owner = thread;
    thread->table = table;
    lock_take(&lock);
    thread->next = threads;
    thread->link = &threads;
    if (threads)
        threads->link = &thread->next;
    threads = thread;
    lock_give(&lock);
    tls_self = table;
    return thread;
}

// With the lock held.
static bool make_room(struct thread *thread, uint64_t number)
{
    uint64_t count = number + number / 4 + 16;
    if (number < thread->count)
        return true;
    void **memory = memory_resize(thread->memory, count * sizeof *memory);
    if (!memory)
        return false;
    memset(memory + thread->count, 0,
           (count - thread->count) * sizeof *memory);
    thread->memory = memory;
    thread->count = count;
    return true;
}

static int64_t from_thread_pointer(const char *address)
{
    return (int64_t)((uintptr_t)address
                     - (uintptr_t)__builtin_thread_pointer());
}

// Its memory, or NULL, and where in it the block begins.
static char *make_block(const struct tls_image *image, int64_t *block)
{
    char *memory = memory_resize(NULL, image->size + 2 * image->align);
    if (!memory)
        return NULL;
    uintptr_t first = ((uintptr_t)memory + image->align - 1)
                    & ~(image->align - 1);
    char *start = (char *)first + image->skew;
    memcpy(start, image->bytes, image->filled);
    memset(start + image->filled, 0, image->size - image->filled);
    *block = from_thread_pointer(start);
    return memory;
}

// With the lock held: what a thread has of a module from now on, unless it has
// that already. Tells what memory is not needed. 0: without memory.
static int64_t enter(struct thread *thread, uint64_t number, int64_t block,
                     char **memory)
{
    _Atomic int64_t *entry = &thread->table->blocks[number];
    if (*entry) // by a signal handler
        return *entry;
    if (!make_room(thread, number))
        return 0;
    thread->memory[number] = *memory;
    *memory = NULL;
    thread->used++;
    *entry = block;
    return block;
}

// The calling thread's block of a module, made when it has none yet; 0 without
// the memory for it.
static int64_t find_or_make(uint64_t number)
{
    struct thread *thread = tls_self->owner ? tls_self->owner : make_thread();
    struct tls_module *module = tls_module_at(number);
    char *memory = NULL;
    int64_t block = 0;
    if (!module)
        abort(); // no slot that we filled holds such a number
    if (!thread
        || (!atomic_load(&module->tp_offset)
            && !(memory = make_block(&module->image, &block))))
        return 0;
    lock_take(&lock);
    // A module in the pool has its block there; it may have come there while
    // this one was made.
    int64_t placed = atomic_load(&module->tp_offset);
    char *none = NULL;
    block = enter(thread, number, placed ? placed : block,
                  placed ? &none : &memory);
    lock_give(&lock);
    memory_free(memory);
    return block;
}

static void drop(struct thread *thread, uint64_t number)
{
    if (!thread->table->blocks[number])
        return;
    memory_free(thread->memory[number]);
    thread->memory[number] = NULL;
    atomic_store(&thread->table->blocks[number], 0);
    if (--thread->used)
        return;
    memory_free(thread->memory);
    thread->memory = NULL;
    thread->count = 0;
}

void tls_blocks_drop(uint64_t number)
{
    lock_take(&lock);
    for (struct thread *thread = threads; thread; thread = thread->next)
        drop(thread, number);
    lock_give(&lock);
}

bool tls_blocks_place(uint64_t number, int64_t tp_offset)
{
    bool used = false;
    lock_take(&lock);
    for (struct thread *thread = threads; thread; thread = thread->next)
        used |= thread->table->blocks[number] != 0;
    if (!used)
        atomic_store(&tls_module_at(number)->tp_offset, tp_offset);
    lock_give(&lock);
    return !used;
}

extern void *__tls_get_addr(struct tls_index *index);

// What accesses a variable expects an address, whatever happens.
void *tls_find_slowly(struct tls_index *index)
{
    if (index->module < TLS_OURS)
        return __tls_get_addr(index);
    int64_t block = find_or_make(index->module - TLS_OURS);
    if (!block)
        abort();
    return (void *)((uintptr_t)__builtin_thread_pointer() + (uintptr_t)block
                    + index->offset);
}

void *tls_get_addr(struct tls_index *index)
{
    const struct tls_table *table = tls_self;
    uint64_t number = index->module - TLS_OURS;
    if (__builtin_expect(number < TLS_NUMBERS, 1)) {
        uint64_t block = (uint64_t)atomic_load_explicit(
            &table->blocks[number], memory_order_relaxed);
        if (__builtin_expect(block != 0, 1))
            return (void *)((uintptr_t)__builtin_thread_pointer() + block
                            + index->offset);
    }
    return tls_find_slowly(index);
}

bool tls_make_block(uint64_t module)
{
    return module < TLS_OURS || tls_self->blocks[module - TLS_OURS]
        || find_or_make(module - TLS_OURS);
}

void *tls_find_block(uint64_t module)
{
    int64_t block = atomic_load(&tls_self->blocks[module - TLS_OURS]);
    // What has been placed is there, whether it has been used or not.
    if (!block)
        block = tls_module_tp_offset(module);
    return block ? (char *)__builtin_thread_pointer() + block : NULL;
}

void blocks_before_fork(void)
{
    lock_before_fork(&lock);
}

// What other threads had stays on the list: it goes with its modules, or as
// that of threads that have ended. This one, which may be ending as well, has
// another number now.
void blocks_after_fork(bool child)
{
    lock_after_fork(&lock, child);
    if (child && tls_self->owner)
        tls_self->owner->id = (pid_t)syscall(SYS_gettid);
}
