// Each thread's blocks, made at first access and freed when the thread has ended.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lock.h"
#include "../memory.h"
#include "module.h"

struct thread {
    struct tls_thread table; // what descriptor_x86_64.c looks at
    struct thread *next, **link; // in the list of all
    uint64_t count;
    struct thread *after; // in the queue of those that end
    pid_t id;             // set for that queue
};

// Initial-exec: found without a call.
__thread struct tls_thread *tls_self
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

// Guards the list of threads, and the growing of `blocks` against
// tls_blocks_drop. A leaf: nothing but memory is called under it.
// Recursive because of fork: see fork.c.
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
        memory_free(thread->table.blocks[i].memory);
    memory_free(thread->table.blocks);
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
        tls_self = NULL;
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
    if (!thread || pthread_setspecific(key, thread) != 0) {
        memory_free(thread);
        return NULL;
    }
    lock_take(&lock);
    thread->next = threads;
    thread->link = &threads;
    if (threads)
        threads->link = &thread->next;
    threads = thread;
    lock_give(&lock);
    tls_self = &thread->table;
    return thread;
}

static bool grow(struct thread *thread, uint64_t count)
{
    struct tls_block *blocks = memory_array(count, sizeof *blocks);
    if (!blocks)
        return false;
    lock_take(&lock);
    struct tls_block *old = thread->table.blocks;
    if (thread->count)
        memcpy(blocks, old, thread->count * sizeof *blocks);
    thread->table.blocks = blocks;
    thread->table.size = count * sizeof *blocks;
    thread->count = count;
    lock_give(&lock);
    memory_free(old);
    return true;
}

// Without memory its `start` is NULL.
static struct tls_block make_block(const struct tls_image *image,
                                   uint64_t generation)
{
    char *memory = memory_resize(NULL, image->size + 2 * image->align);
    if (!memory)
        return (struct tls_block){ NULL, NULL, generation };
    uintptr_t start = ((uintptr_t)memory + image->align - 1)
                    & ~(image->align - 1);
    char *block = (char *)start + image->skew;
    memcpy(block, image->bytes, image->filled);
    memset(block + image->filled, 0, image->size - image->filled);
    return (struct tls_block){ memory, block, generation };
}

// The calling thread's block of a module, made when it has none yet; NULL
// without the memory for it.
static char *make_start(uint64_t number)
{
    struct thread *thread = tls_self ? (struct thread *)tls_self
                                     : make_thread();
    struct tls_module *module = tls_module_at(number);
    if (!module)
        abort(); // no slot that we filled holds such a number
    if (!thread
        || (number >= thread->count && !grow(thread, number + 16)))
        return NULL;
    uint64_t generation = atomic_load(&module->generation);
    struct tls_block block = { NULL, NULL, generation };
    if (!atomic_load(&module->tp_offset)) {
        block = make_block(&module->image, generation);
        if (!block.start)
            return NULL;
    }
    lock_take(&lock);
    // A module in the pool has its block there; it may have come there while
    // this one was made.
    int64_t placed = atomic_load(&module->tp_offset);
    void *unused = thread->table.blocks[number].memory;
    if (placed) {
        memory_free(unused);
        unused = block.memory;
        char *start = (char *)__builtin_thread_pointer() + placed;
        block = (struct tls_block){ NULL, start, generation };
    }
    thread->table.blocks[number] = block;
    lock_give(&lock);
    memory_free(unused);
    return block.start;
}

// What accesses a variable expects an address, whatever happens.
static __attribute__((noinline)) void *make_address(uint64_t number,
                                                    uint64_t offset)
{
    char *start = make_start(number);
    if (!start)
        abort();
    return start + offset;
}

// The number was taken over by another module when the generations differ.
static inline void *find(uint64_t number, uint64_t offset)
{
    const struct tls_thread *thread = tls_self;
    uint64_t at = number * sizeof(struct tls_block);
    if (__builtin_expect(thread && at < thread->size, 1)) {
        const struct tls_block *block = &thread->blocks[number];
        if (__builtin_expect(block->generation
                             == tls_module_at(number)->generation, 1))
            return block->start + offset;
    }
    return make_address(number, offset);
}

void tls_blocks_drop(uint64_t number)
{
    lock_take(&lock);
    for (struct thread *thread = threads; thread; thread = thread->next) {
        if (number < thread->count) {
            memory_free(thread->table.blocks[number].memory);
            thread->table.blocks[number] = (struct tls_block){ 0 };
        }
    }
    lock_give(&lock);
}

bool tls_blocks_place(uint64_t number, int64_t tp_offset)
{
    struct tls_module *module = tls_module_at(number);
    uint64_t generation = atomic_load(&module->generation);
    bool used = false;
    lock_take(&lock);
    for (struct thread *thread = threads; thread; thread = thread->next)
        used |= number < thread->count && thread->table.blocks[number].start
             && thread->table.blocks[number].generation == generation;
    if (!used)
        atomic_store(&module->tp_offset, tp_offset);
    lock_give(&lock);
    return !used;
}

extern void *__tls_get_addr(struct tls_index *index);

void *tls_get_addr(struct tls_index *index)
{
    if (__builtin_expect(!(index->module & TLS_OURS), 0))
        return __tls_get_addr(index);
    return find(index->module & ~TLS_OURS, index->offset);
}

bool tls_make_block(uint64_t module)
{
    uint64_t number = module & ~TLS_OURS;
    const struct tls_thread *thread = tls_self;
    uint64_t at = number * sizeof(struct tls_block);
    return !(module & TLS_OURS)
        || (thread && at < thread->size && thread->blocks[number].generation
            == tls_module_at(number)->generation)
        || make_start(number);
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
    if (child && tls_self)
        ((struct thread *)tls_self)->id = (pid_t)syscall(SYS_gettid);
}
