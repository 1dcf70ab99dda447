// Finds the threads that ran before the registry of threads was there. Each is
// sent a signal; its handler answers with the thread pointer. The signal is
// number 33, which glibc keeps for itself (setxid) and no thread blocks;
// glibc's own uses of it are passed on.
//
// A thread that is inside pthread_create is asked again later: it may hold a
// block that was made before the registry was, for a thread that is on no list
// yet. When such a thread has left, what it created is on the list.

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "threads.h"

#include "../error.h"
#include "../host/internals.h"
#include "pool.h"

enum { SIGNAL = 33, MOST_THREADS = 65536 };

enum answer { ASKED, ANSWERED, CREATING, FOREIGN };

// One question. Slots are not used twice, so that a late answer cannot be taken
// for another's.
struct question {
    _Atomic(enum answer) answer;
    int tid;
    char *thread_pointer;
};

// What the kernel takes (signal(7)); glibc's sigaction refuses this signal.
struct kernel_action {
    void *handler;
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static struct question *questions;
static atomic_size_t asked;
static struct kernel_action before; // what the signal did
static uintptr_t creation_start, creation_end;
static ptrdiff_t tid_offset;

// ------------------------------------------------------------ the handler ---
// It may run in a thread that has no libc: nothing of libc, nor errno, nor the
// stack protector is used.

#define RAW __attribute__((no_stack_protector))

static inline RAW long call_kernel(long number, long a, long b, long c, long d,
                                   long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile ("syscall" : "=a"(result)
                      : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
                        "r"(r9) : "rcx", "r11", "memory");
    return result;
}

// Reads memory that may not be there.
static RAW bool read_safely(void *to, uintptr_t from, size_t size)
{
    struct iovec local = { to, size }, remote = { (void *)from, size };
    long self = call_kernel(SYS_getpid, 0, 0, 0, 0, 0, 0);
    return call_kernel(SYS_process_vm_readv, self, (long)&local, 1,
                       (long)&remote, 1, 0) == (long)size;
}

// Has this thread been made by glibc, with our pool in its block?
static RAW bool is_of_glibc(char **thread_pointer)
{
    enum { ARCH_GET_FS = 0x1003 };
    uintptr_t fs = 0, words[3];
    char mark[POOL_MARK_SIZE];
    int tid;
    if (call_kernel(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0, 0, 0) != 0
        || !fs || !read_safely(words, fs, sizeof words)
        || words[0] != fs || words[2] != fs)
        return false;
    if (!read_safely(mark, fs + (uintptr_t)pool_tp_offset_x86_64(),
                     sizeof mark)
        || !read_safely(&tid, fs + (uintptr_t)tid_offset, sizeof tid)
        || tid != call_kernel(SYS_gettid, 0, 0, 0, 0, 0, 0))
        return false;
    for (int i = 0; i < POOL_MARK_SIZE; i++)
        if (mark[i] != POOL_MARK[i])
            return false;
    *thread_pointer = (char *)fs;
    return true;
}

// Is there a return address into pthread_create on the stack? Its frame is
// never far: what it calls is shallow.
static RAW bool is_creating(const ucontext_t *context)
{
    enum { PAGES = 16, PAGE = 4096, CALL = 0xe8, CALL_SIZE = 5 };
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    uintptr_t stack = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
    if (at >= creation_start && at < creation_end)
        return true;
    // A handler on an alternate stack may have interrupted anything.
    if (context->uc_stack.ss_flags & SS_ONSTACK)
        return true;
    for (int page = 0; page < PAGES; page++) {
        uintptr_t words[PAGE / 8];
        size_t size = PAGE - (stack & (PAGE - 1));
        if (!read_safely(words, stack & ~(uintptr_t)7, size & ~(size_t)7))
            return false;
        for (size_t i = 0; i < size / 8; i++)
            if (words[i] >= creation_start + CALL_SIZE
                && words[i] < creation_end
                && *(const unsigned char *)(words[i] - CALL_SIZE) == CALL)
                return true;
        stack += size;
    }
    return false;
}

static RAW void handle(int number, siginfo_t *info, void *context)
{
    struct question *question = info->si_value.sival_ptr;
    if (info->si_code == SI_QUEUE
        && info->si_pid == call_kernel(SYS_getpid, 0, 0, 0, 0, 0, 0)
        && question >= questions && question < questions + MOST_THREADS) {
        char *thread_pointer;
        enum answer answer = !is_of_glibc(&thread_pointer) ? FOREIGN
                           : is_creating(context) ? CREATING : ANSWERED;
        if (answer == ANSWERED)
            question->thread_pointer = thread_pointer;
        atomic_store(&question->answer, answer);
    } else if (before.handler != (void *)SIG_DFL
               && before.handler != (void *)SIG_IGN) {
        ((void (*)(int, siginfo_t *, void *))before.handler)(number, info,
                                                             context);
    }
}

__asm__ (".pushsection .text\n"
         "    nop\n" // unwinders look one byte before
         "adopt_return:\n"
         "    movq $15, %rax\n" // rt_sigreturn
         "    syscall\n"
         ".popsection\n");
extern void adopt_return(void) __attribute__((visibility("hidden")));

// ------------------------------------------------------------------ asking ---

static e64_status set_handler(void)
{
    enum { RESTORER = 0x04000000 };
    const struct kernel_action ours = {
        (void *)handle, SA_SIGINFO | SA_ONSTACK | SA_RESTART | RESTORER,
        adopt_return, 0 };
    struct kernel_action now;
    if (syscall(SYS_rt_sigaction, SIGNAL, NULL, &now, sizeof now.mask) != 0)
        return fail_system("the handler of signal 33 cannot be read");
    if (now.handler == (void *)handle)
        return E64_OK;
    before = now;
    if (syscall(SYS_rt_sigaction, SIGNAL, &ours, NULL, sizeof ours.mask) != 0)
        return fail_system("signal 33 cannot be handled");
    return E64_OK;
}

// False: the thread has ended.
static bool ask(struct question *question)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = question;
    atomic_store(&question->answer, ASKED);
    for (int tries = 0; tries < 1000; tries++) {
        if (syscall(SYS_rt_tgsigqueueinfo, getpid(), question->tid, SIGNAL,
                    &info) == 0)
            return true;
        if (errno != EAGAIN) // too many are queued
            return false;
        usleep(1000);
    }
    return false;
}

static bool is_alive(int tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

// Waits until a thread has answered, asking again while it creates another.
// About ten seconds at most.
static e64_status wait_for(struct question *question)
{
    for (int round = 0; round < 100000; round++) {
        enum answer answer = atomic_load(&question->answer);
        if (answer == ANSWERED || answer == FOREIGN)
            return E64_OK;
        if (!is_alive(question->tid))
            return E64_OK;
        if (answer == CREATING && !ask(question))
            return E64_OK;
        if (round < 20)
            sched_yield();
        else
            usleep(100);
    }
    return fail(E64_UNSUPPORTED, "thread %d does not answer (signal 33): it is "
                "stopped by a tracer, waits for a vfork child, or blocks the "
                "signal by a raw system call", question->tid);
}

// ------------------------------------------------------------ the threads ---

struct listing {
    int *tids;
    size_t count;
    e64_status status;
};

// All threads in one system call, by one that is younger than all that matter:
// the kernel lists by age, and a list that has the last one is whole.
static void *list_threads(void *data)
{
    enum { SIZE = 1 << 22 };
    struct listing *listing = data;
    int self = (int)syscall(SYS_gettid);
    char *entries = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bool complete = false;
    listing->status = E64_UNSUPPORTED;
    for (int tries = 0; entries != MAP_FAILED && !complete && tries < 100;
         tries++) {
        int folder = open("/proc/self/task",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            break;
        long size = syscall(SYS_getdents64, folder, entries, SIZE);
        close(folder);
        listing->count = 0;
        for (long at = 0; at < size;) {
            unsigned short length;
            memcpy(&length, entries + at + 16, sizeof length); // d_reclen
            int tid = atoi(entries + at + 19);                 // d_name
            if (tid == self)
                complete = true;
            else if (tid > 0 && listing->count < MOST_THREADS)
                listing->tids[listing->count++] = tid;
            at += length;
        }
    }
    if (entries != MAP_FAILED)
        munmap(entries, SIZE);
    if (complete)
        listing->status = E64_OK;
    return NULL;
}

static e64_status list_all(struct listing *listing)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, list_threads, listing);
    if (error)
        return fail(E64_SYSTEM, "threads cannot be created: %s",
                    strerror(error));
    pthread_join(thread, NULL);
    if (listing->status != E64_OK)
        return fail(E64_UNSUPPORTED, "/proc/self/task does not list the "
                    "process's threads");
    return E64_OK;
}

static int compare(const void *a, const void *b)
{
    int one = *(const int *)a, other = *(const int *)b;
    return one < other ? -1 : one > other;
}

// Those that are known: registered, or found to be none of glibc's.
struct known {
    int *tids;
    size_t count;
    int *foreign;
    size_t foreign_count;
};

static void collect_known(struct known *known)
{
    threads_lock();
    known->count = threads_list(known->tids, MOST_THREADS);
    threads_unlock();
    for (size_t i = 0; i < known->foreign_count
                       && known->count < 2 * MOST_THREADS; i++)
        known->tids[known->count++] = known->foreign[i];
    qsort(known->tids, known->count, sizeof *known->tids, compare);
}

static e64_status ask_unknown(const struct listing *listing,
                              struct known *known, size_t *unknown)
{
    size_t first = atomic_load(&asked);
    for (size_t i = 0; i < listing->count; i++) {
        if (bsearch(&listing->tids[i], known->tids, known->count,
                    sizeof *known->tids, compare))
            continue;
        size_t at = atomic_load(&asked);
        if (at == MOST_THREADS)
            return fail(E64_UNSUPPORTED, "the process has too many threads");
        questions[at].tid = listing->tids[i];
        if (ask(&questions[at]))
            atomic_store(&asked, at + 1);
    }
    *unknown = atomic_load(&asked) - first;
    e64_status status = E64_OK;
    for (size_t i = first; status == E64_OK && i < atomic_load(&asked); i++)
        status = wait_for(&questions[i]);
    threads_lock();
    for (size_t i = first; status == E64_OK && i < atomic_load(&asked); i++) {
        enum answer answer = atomic_load(&questions[i].answer);
        if (answer == FOREIGN && known->foreign_count < MOST_THREADS)
            known->foreign[known->foreign_count++] = questions[i].tid;
        if (answer == ANSWERED && !threads_adopt(questions[i].thread_pointer))
            status = E64_NOMEMORY;
    }
    threads_unlock();
    return status == E64_NOMEMORY ? fail_memory(sizeof(void *)) : status;
}

// Until a complete list shows no thread that is not known.
static e64_status adopt_all(struct listing *listing, struct known *known)
{
    for (;;) {
        size_t unknown = 0;
        e64_status status = list_all(listing);
        if (status == E64_OK)
            status = set_handler();
        if (status != E64_OK)
            return status;
        collect_known(known);
        status = ask_unknown(listing, known, &unknown);
        if (status != E64_OK || unknown == 0)
            return status;
    }
}

static void *map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

e64_status threads_find_x86_64(void)
{
    const size_t size = MOST_THREADS * sizeof(int);
    struct listing listing = { map(size), 0, E64_OK };
    struct known known = { map(2 * size), 0, map(size), 0 };
    tid_offset = host_tid_offset();
    // Kept for good: an answer may come late.
    questions = map(MOST_THREADS * sizeof *questions);
    e64_status status = host_thread_creation(&creation_start, &creation_end);
    if (status == E64_OK && tid_offset < 0)
        status = fail(E64_UNSUPPORTED, "glibc's thread descriptor is not laid "
                      "out as is known");
    if (status == E64_OK && (!listing.tids || !known.tids || !known.foreign
                             || !questions))
        status = fail_memory(size);
    if (status == E64_OK)
        status = adopt_all(&listing, &known);
    if (listing.tids)
        munmap(listing.tids, size);
    if (known.tids)
        munmap(known.tids, 2 * size);
    if (known.foreign)
        munmap(known.foreign, size);
    return status;
}
