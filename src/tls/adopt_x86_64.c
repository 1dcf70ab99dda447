// Finds the threads that ran before the registry of threads was there. Each is
// asked, and answers with its thread pointer.
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
#include <unistd.h>

#include "ask_x86_64.h"
#include "threads.h"

#include "../error.h"

enum { MOST_THREADS = 65536 };

enum {
    ANSWERED = ASK_ANSWERED,
    CREATING, // in pthread_create, or so it seems
    FOREIGN,  // not made by glibc
    DENIED,   // it may not make the system calls that the answer takes
};

// One thread that is asked. None is used twice, so that a late answer cannot be
// taken for another's.
struct adoption {
    struct question question;
    char *thread_pointer;
    int64_t since; // the first answer that it is creating
    int times;     // how often it said so
};

static struct adoption *adoptions;
static size_t asked;
static const struct host_threads *host;

// --------------------------------------------------------- in the thread ---

// Has this thread been made by glibc, with our pool in its block? (The words of
// tcbhead_t: itself, and at 16 itself again.) Then it is ANSWERED.
static RAW int find_pointer(char **thread_pointer)
{
    enum { ARCH_GET_FS = 0x1003 };
    uintptr_t fs = 0;
    // A seccomp filter, which may be this thread's alone.
    if (raw_call(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0) != 0
        || !raw_is_readable((uintptr_t)&fs))
        return DENIED;
    if (!fs || !raw_is_readable(fs) || !raw_is_readable(fs + 16))
        return FOREIGN;
    if (*(uintptr_t *)fs != fs || *(uintptr_t *)(fs + 16) != fs)
        return FOREIGN;
    uintptr_t mark = fs + (uintptr_t)pool_tp_offset_x86_64();
    uintptr_t tid = fs + (uintptr_t)host->tid;
    if (!raw_is_readable(mark) || !raw_is_readable(tid)
        || *(int *)tid != raw_call(SYS_gettid, 0, 0, 0, 0))
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
        if ((at == stack || at % PAGE == 0) && !raw_is_readable(at))
            return false;
        uintptr_t word = *(uintptr_t *)at;
        if (is_in_creation(word - CALL_SIZE) && is_in_creation(word)
            && *(unsigned char *)(word - CALL_SIZE) == CALL)
            return true;
    }
    return false;
}

static RAW int examine(struct question *question, const ucontext_t *context)
{
    struct adoption *adoption = (struct adoption *)question;
    char *thread_pointer;
    int answer = find_pointer(&thread_pointer);
    if (answer == ANSWERED) {
        adoption->thread_pointer = thread_pointer;
        if (is_creating(context, (uintptr_t)thread_pointer))
            answer = CREATING;
    }
    return answer;
}

// ------------------------------------------------------------------ asking ---

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

// Looks after one question; `pending` while the answer is not final.
static e64_status look_after(struct adoption *adoption, bool *pending)
{
    enum { LONG = 250, MANY = 50 };
    struct question *question = &adoption->question;
    *pending = question_is_pending(question);
    switch (atomic_load(&question->answer)) {
    case CREATING:
        // No call of pthread_create lasts that long in a thread that runs: it
        // has left the one that it was in, and another one is seen by the
        // registry; or there was none.
        if (adoption->times++ == 0)
            adoption->since = now_ms();
        if (adoption->times > MANY && now_ms() - adoption->since > LONG) {
            atomic_store(&question->answer, ANSWERED);
            return E64_OK;
        }
        *pending = true;
        return question_ask(question);
    case DENIED:
        return fail(E64_UNSUPPORTED, "the process has other threads, and "
                    "thread %d may not say where its thread-local storage is: "
                    "a seccomp filter denies arch_prctl or rt_sigprocmask",
                    question->tid);
    default:
        return E64_OK;
    }
}

// Waits for all answers. Not for long when there is none; but those that are
// asked again and again answer once a turn, and turns may be rare.
static e64_status wait_for(struct adoption *first, size_t count)
{
    enum { LONGEST = 10000, BUSY = 20 };
    int64_t last = now_ms();
    long heard = 0;
    for (int round = 0;; round++) {
        int waiting = 0;
        long answers = 0;
        for (size_t i = 0; i < count; i++) {
            bool pending;
            e64_status status = look_after(&first[i], &pending);
            if (status != E64_OK)
                return status;
            if (pending)
                waiting = first[i].question.tid;
            answers += first[i].times + !pending;
        }
        if (!waiting)
            return E64_OK;
        if (answers > heard)
            last = now_ms();
        heard = answers;
        if (now_ms() - last > LONGEST)
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
    return listing->error
        ? question_refused("reading /proc/self/task (getdents64)") : E64_OK;
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
        struct question *question = &adoptions[asked++].question;
        question->tid = listing->tids[i];
        question->examine = examine;
        status = question_ask(question);
    }
    *unknown = asked - first;
    if (status == E64_OK)
        status = wait_for(adoptions + first, *unknown);
    threads_lock();
    for (size_t i = first; status == E64_OK && i < asked; i++) {
        const struct question *question = &adoptions[i].question;
        int answer = atomic_load(&question->answer);
        if (answer == FOREIGN && known->foreign_count < MOST_THREADS)
            known->foreign[known->foreign_count++] = question->tid;
        if (answer == ANSWERED && !threads_adopt(adoptions[i].thread_pointer))
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
    if (!adoptions)
        adoptions = map(MOST_THREADS * sizeof *adoptions);
    if (!listing.tids || !known.tids || !known.foreign || !adoptions)
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
