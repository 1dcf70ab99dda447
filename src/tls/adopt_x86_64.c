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
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "threads.h"

#include "../error.h"

enum { SIGNAL = 33, MOST_THREADS = 65536 };

enum answer {
    ASKED,
    ANSWERED,
    CREATING, // in pthread_create, or so it seems
    FOREIGN,  // not made by glibc
    DENIED,   // it may not make the system calls that the answer takes
    ENDED,
};

// One question. Slots are not used twice, so that a late answer cannot be taken
// for another's.
struct question {
    _Atomic(enum answer) answer;
    int tid;
    char *thread_pointer;
    int64_t since; // the first answer that it is creating
    int times;     // how often it said so
};

// What the kernel takes (signal(7)); glibc's sigaction refuses this signal.
struct kernel_action {
    void *handler;
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static struct question *questions;
static size_t asked;
static struct kernel_action before; // what the signal did
static const struct host_threads *host;

// ------------------------------------------------------------ the handler ---
// It may run in a thread that has no libc, on a small stack: nothing of libc,
// nor errno, nor the stack protector, nor what sanitizers insert is used.

#define RAW __attribute__((no_stack_protector, no_sanitize("address"),  \
                           no_sanitize("undefined"), no_sanitize("thread")))

static inline RAW long call_kernel(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile ("syscall" : "=a"(result)
                      : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                      : "rcx", "r11", "memory");
    return result;
}

// Asks the kernel to read a word there, as a signal mask that it then refuses
// for the sake of the first argument.
static RAW bool is_readable(uintptr_t address)
{
    return call_kernel(SYS_rt_sigprocmask, -1, (long)address, 0, 8) == -EINVAL;
}

// Has this thread been made by glibc, with our pool in its block? (The words of
// tcbhead_t: itself, and at 16 itself again.) Then it is ANSWERED.
static RAW enum answer examine(char **thread_pointer)
{
    enum { ARCH_GET_FS = 0x1003 };
    uintptr_t fs = 0;
    // A seccomp filter, which may be this thread's alone.
    if (call_kernel(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0) != 0
        || !is_readable((uintptr_t)&fs))
        return DENIED;
    if (!fs || !is_readable(fs) || !is_readable(fs + 16))
        return FOREIGN;
    if (*(uintptr_t *)fs != fs || *(uintptr_t *)(fs + 16) != fs)
        return FOREIGN;
    uintptr_t mark = fs + (uintptr_t)pool_tp_offset_x86_64();
    uintptr_t tid = fs + (uintptr_t)host->tid;
    if (!is_readable(mark) || !is_readable(tid)
        || *(int *)tid != call_kernel(SYS_gettid, 0, 0, 0, 0))
        return FOREIGN;
    for (int i = 0; i < POOL_MARK_SIZE; i++)
        if (((char *)mark)[i] != POOL_MARK[i])
            return FOREIGN;
    *thread_pointer = (char *)fs;
    return ANSWERED;
}

static RAW bool is_in_creation(uintptr_t address)
{
    return address >= host->creation_start && address < host->creation_end;
}

// Is there a return address into pthread_create on the stack, after a call? One
// that was left behind by a call that has ended is taken for one, too.
static RAW bool is_creating(const ucontext_t *context, uintptr_t end)
{
    enum { PAGE = 4096, MOST = 1 << 20, CALL = 0xe8, CALL_SIZE = 5 };
    uintptr_t stack = (uintptr_t)context->uc_mcontext.gregs[REG_RSP] & ~7ull;
    if (is_in_creation((uintptr_t)context->uc_mcontext.gregs[REG_RIP]))
        return true;
    // A handler on an alternate stack may have interrupted anything.
    if (context->uc_stack.ss_flags & SS_ONSTACK)
        return true;
    // The descriptor of a thread lies above its stack.
    if (end < stack || end - stack > MOST)
        end = stack + MOST;
    for (uintptr_t at = stack; at < end; at += 8) {
        if ((at == stack || at % PAGE == 0) && !is_readable(at))
            return false;
        uintptr_t word = *(uintptr_t *)at;
        if (is_in_creation(word - CALL_SIZE) && is_in_creation(word)
            && *(unsigned char *)(word - CALL_SIZE) == CALL)
            return true;
    }
    return false;
}

static RAW void handle(int number, siginfo_t *info, void *context)
{
    struct question *question = info->si_value.sival_ptr;
    if (info->si_code == SI_QUEUE
        && info->si_pid == call_kernel(SYS_getpid, 0, 0, 0, 0)
        && question >= questions && question < questions + MOST_THREADS) {
        char *thread_pointer;
        enum answer answer = examine(&thread_pointer);
        if (answer == ANSWERED) {
            question->thread_pointer = thread_pointer;
            if (is_creating(context, (uintptr_t)thread_pointer))
                answer = CREATING;
        }
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

// What the process has run out of is an error of the system, what it may not do
// is not supported.
static e64_status refused(const char *what)
{
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return fail_system("the process has other threads, and %s fails", what);
    default:
        return fail(E64_UNSUPPORTED, "the process has other threads, and %s is "
                    "refused: %s", what, strerror(errno));
    }
}

// Another that was put in this one's place passes on what is not its own, as
// this one does; glibc's own is put back by the first thread that a forked
// child creates.
static e64_status set_handler(void)
{
    enum { RESTORER = 0x04000000 };
    static bool set;
    const struct kernel_action ours = {
        (void *)handle, SA_SIGINFO | SA_ONSTACK | SA_RESTART | RESTORER,
        adopt_return, 0 };
    struct kernel_action now;
    if (syscall(SYS_rt_sigaction, SIGNAL, NULL, &now, sizeof now.mask) != 0)
        return refused("reading the handler of signal 33 (rt_sigaction)");
    if (now.handler == (void *)handle
        || (set && now.handler != before.handler))
        return E64_OK;
    before = now;
    if (syscall(SYS_rt_sigaction, SIGNAL, &ours, NULL, sizeof ours.mask) != 0)
        return refused("handling signal 33 (rt_sigaction)");
    set = true;
    return E64_OK;
}

static e64_status ask(struct question *question)
{
    enum { TRIES = 1000 };
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = question;
    atomic_store(&question->answer, ASKED);
    for (int i = 0; i < TRIES; i++) {
        if (syscall(SYS_rt_tgsigqueueinfo, getpid(), question->tid, SIGNAL,
                    &info) == 0)
            return E64_OK;
        if (errno == ESRCH) {
            atomic_store(&question->answer, ENDED);
            return E64_OK;
        }
        if (errno != EAGAIN)
            return refused("sending a thread a signal (rt_tgsigqueueinfo)");
        usleep(1000);
    }
    e64_status status = fail(E64_SYSTEM, "the process has other threads, which "
                             "no signals can be sent to: too many are queued "
                             "(RLIMIT_SIGPENDING)");
    error_errno(EAGAIN);
    return status;
}

// Signal 0 is not sent. Not by tgkill, which a filter may deny: what is used
// already is allowed.
static bool has_ended(const struct question *question)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    return syscall(SYS_rt_tgsigqueueinfo, getpid(), question->tid, 0,
                   &info) != 0 && errno == ESRCH;
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

// Looks after one question; `pending` while the answer is not final.
static e64_status look_after(struct question *question, bool *pending)
{
    enum { LONG = 250, MANY = 50 };
    *pending = false;
    switch (atomic_load(&question->answer)) {
    case ASKED:
        if (has_ended(question))
            atomic_store(&question->answer, ENDED);
        else
            *pending = true;
        return E64_OK;
    case CREATING:
        // No call of pthread_create lasts that long in a thread that runs: it
        // has left the one that it was in, and another one is seen by the
        // registry; or there was none.
        if (question->times++ == 0)
            question->since = now_ms();
        if (question->times > MANY && now_ms() - question->since > LONG) {
            atomic_store(&question->answer, ANSWERED);
            return E64_OK;
        }
        *pending = true;
        return ask(question);
    case DENIED:
        return fail(E64_UNSUPPORTED, "the process has other threads, and "
                    "thread %d may not say where its thread-local storage is: "
                    "a seccomp filter denies arch_prctl or rt_sigprocmask",
                    question->tid);
    default:
        return E64_OK;
    }
}

// Waits for all answers.
static e64_status wait_for(struct question *first, size_t count)
{
    enum { LONGEST = 10000, BUSY = 20 };
    int64_t start = now_ms();
    for (int round = 0;; round++) {
        int waiting = 0;
        for (size_t i = 0; i < count; i++) {
            bool pending;
            e64_status status = look_after(&first[i], &pending);
            if (status != E64_OK)
                return status;
            if (pending)
                waiting = first[i].tid;
        }
        if (!waiting)
            return E64_OK;
        if (now_ms() - start > LONGEST)
            return fail(E64_UNSUPPORTED, "thread %d does not answer (signal "
                        "33): it is stopped by a tracer, waits for a vfork "
                        "child, or blocks the signal by a raw system call",
                        waiting);
        usleep(round < BUSY ? 10 : 1000);
    }
}

// ------------------------------------------------------------ the threads ---

struct listing {
    int *tids;
    size_t count;
    int error; // errno; 0 when the list is whole
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
    listing->error = errno;
    for (int tries = 0; entries != MAP_FAILED && !complete && tries < 100;
         tries++) {
        int folder = open("/proc/self/task",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        listing->error = errno;
        if (folder < 0)
            break;
        long size = syscall(SYS_getdents64, folder, entries, SIZE);
        listing->error = size < 0 ? errno : ESRCH; // until this one is seen
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
        listing->error = 0;
    return NULL;
}

static e64_status list_all(struct listing *listing)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, list_threads, listing);
    if (error)
        return fail_thread(error);
    pthread_join(thread, NULL);
    errno = listing->error;
    return listing->error ? refused("reading /proc/self/task (getdents64)")
                          : E64_OK;
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
    size_t first = asked;
    e64_status status = E64_OK;
    for (size_t i = 0; status == E64_OK && i < listing->count; i++) {
        if (bsearch(&listing->tids[i], known->tids, known->count,
                    sizeof *known->tids, compare))
            continue;
        if (asked == MOST_THREADS)
            return fail(E64_UNSUPPORTED, "the process has too many threads");
        if (asked == first)
            status = set_handler();
        questions[asked].tid = listing->tids[i];
        if (status == E64_OK)
            status = ask(&questions[asked++]);
    }
    *unknown = asked - first;
    if (status == E64_OK)
        status = wait_for(questions + first, *unknown);
    threads_lock();
    for (size_t i = first; status == E64_OK && i < asked; i++) {
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

e64_status threads_find_x86_64(const struct host_threads *threads)
{
    const size_t size = MOST_THREADS * sizeof(int);
    struct listing listing = { map(size), 0, 0 };
    struct known known = { map(2 * size), 0, map(size), 0 };
    e64_status status = E64_OK;
    host = threads;
    // Kept for good: an answer may come late.
    if (!questions)
        questions = map(MOST_THREADS * sizeof *questions);
    if (!listing.tids || !known.tids || !known.foreign || !questions)
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
