// Looks for return addresses on the stacks of all threads. Where the calling
// thread's holds what looks like one, it is unwound, so that what calls have
// left behind in it does not count. The others' are looked at from the stack
// pointer up, word by word, which may take something for a return address that
// is none any more, but misses none.
//
// A thread that waits in the kernel is looked at where it waits, and knows
// nothing of it. The kernel tells whether it has run meanwhile. One that runs
// is asked.

#include "stacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../elf/valgrind.h"
#include "../host/unwinder.h"
#include "../memory.h"
#include "stacks_x86_64.h"

// Bytes that are read at once, and the most of one stack but the first
// thread's, whose size nothing limits.
enum { CHUNK = 1 << 14, MOST = 1 << 26 };

enum { NOT_OPEN = -1, UNREADABLE = -2 };

struct threads {
    int *all;
    size_t count, room;
};

struct pass {
    struct stack_scan scan;
    int self; // the calling thread
    int tasks; // /proc/self/task
    int memory; // /proc/self/mem, or one of these:
    uintptr_t *words; // CHUNK bytes, and STACK_BEYOND words
    struct threads seen;    // have been looked at
    struct threads running; // of these, and have to be asked
    int unanswered; // the last one that has not answered,
    bool rested;    // and whether it has been looked at all the same
};

static void miss(const struct pass *pass, const char *what)
{
    pass->scan.search->miss(pass->scan.search->data, what);
}

static void clear(const struct pass *pass)
{
    for (uint32_t i = 0; i < pass->scan.search->owners; i++)
        atomic_store(&pass->scan.found[i], 0);
}

static void report(const struct pass *pass, int thread)
{
    const struct stack_search *search = pass->scan.search;
    for (uint32_t i = 0; i < search->owners; i++) {
        uintptr_t address = atomic_load(&pass->scan.found[i]);
        if (address)
            search->report(search->data, thread, i, address);
    }
}

// ---------------------------------------------------------------- memory ---

// The memory may go meanwhile: the kernel reads it. Gives the bytes that are
// there, from the first on.
static size_t read_memory(struct pass *pass, uintptr_t from, void *to,
                          size_t size)
{
    struct iovec local = { to, size }, remote = { (void *)from, size };
    ssize_t got = pass->memory >= 0 ? -1
                : process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (got < 0 && pass->memory == NOT_OPEN
        && (errno == EPERM || errno == ENOSYS)) {
        pass->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        if (pass->memory < 0) {
            pass->memory = UNREADABLE;
            miss(pass, "threads' stacks cannot be read: process_vm_readv and "
                       "/proc/self/mem are refused");
        }
    }
    if (pass->memory >= 0)
        got = pread(pass->memory, to, size, (off_t)from);
    return got > 0 ? (size_t)got : 0;
}

// From a stack pointer to the end of the stack, or of the memory that it lies
// in.
static void scan_from(struct pass *pass, uintptr_t from, bool limited)
{
    size_t all = 0;
    from &= ~(uintptr_t)7;
    do {
        size_t size = CHUNK - (from & (CHUNK - 1));
        size_t got = read_memory(pass, from, pass->words,
                                 size + 8 * STACK_BEYOND);
        // What lies beyond is read once more, as words of their own.
        if (stack_words(&pass->scan, pass->words, got / 8, from) || got < size)
            return;
        from += size;
        all += size;
    } while (all < MOST || !limited);
    miss(pass, "a thread's stack is larger than what is looked at");
}

static void scan_stack(struct pass *pass, uintptr_t from, bool limited)
{
    pass->scan.elsewhere = 0;
    scan_from(pass, from, limited);
    if (pass->scan.elsewhere)
        scan_from(pass, pass->scan.elsewhere, true);
}

// --------------------------------------------------------- this thread's ---

struct walk {
    const struct pass *pass;
    bool begun;
    uintptr_t address, stack; // of the last frame
};

static void visit_frame(void *data, uintptr_t address, uintptr_t stack)
{
    struct walk *walk = data;
    // What looked like return addresses does not count any more.
    if (!walk->begun)
        clear(walk->pass);
    walk->begun = true;
    walk->address = address;
    walk->stack = stack;
    // A call may be the last instruction.
    if (address)
        stack_note(&walk->pass->scan, address - 1);
}

static bool has_found(const struct pass *pass)
{
    bool found = false;
    for (uint32_t i = 0; i < pass->scan.search->owners; i++)
        found |= atomic_load(&pass->scan.found[i]) != 0;
    return found;
}

// Where no word looks like a return address, none is: nothing is unwound.
static void look_at_self(struct pass *pass)
{
    struct walk walk = { .pass = pass };
    bool limited = pass->self != getpid();
    scan_stack(pass, pass->scan.search->from, limited);
    if (!has_found(pass) && pass->memory != UNREADABLE)
        return;
    // What is found by unwinding counts, and what lies beyond it.
    if (host_backtrace(visit_frame, &walk) && walk.address)
        scan_stack(pass, walk.stack, limited);
    report(pass, pass->self);
}

// --------------------------------------------------------------- others' ---

enum state { ENDED, RUNNING, WAITING };

// Appends a file of the thread's folder. False when the thread has ended.
static bool append_file(const struct pass *pass, int thread, const char *name,
                        char *text, size_t size)
{
    char path[64];
    size_t used = strlen(text);
    snprintf(path, sizeof path, "%d/%s", thread, name);
    int file = openat(pass->tasks, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        snprintf(path, sizeof path, "%d", thread);
        return faccessat(pass->tasks, path, F_OK, 0) == 0;
    }
    ssize_t got = read(file, text + used, size - used - 1);
    bool ended = got < 0 && errno == ESRCH;
    close(file);
    text[used + (got > 0 ? (size_t)got : 0)] = '\0';
    return !ended;
}

// Is the thread past all code of its own, on its way out of the kernel? It may
// have been joined already. (proc(5), "stat": the seventh field after the name;
// PF_EXITING.)
static bool is_exiting(const struct pass *pass, int thread)
{
    enum { EXITING = 4 };
    char text[512] = "";
    unsigned flags = 0;
    if (!append_file(pass, thread, "stat", text, sizeof text))
        return true;
    const char *end = strrchr(text, ')');
    return end && sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1
        && flags & EXITING;
}

// What the kernel tells of a thread: in which system call with which arguments
// it waits, its stack pointer and where it goes on (proc(5), "syscall"); and
// how often it has run ("schedstat"). Alike twice, it has not run in between.
static enum state read_state(const struct pass *pass, int thread,
                             char text[512], uintptr_t *stack,
                             uintptr_t *address)
{
    text[0] = '\0';
    if (!append_file(pass, thread, "syscall", text, 512))
        return ENDED;
    char *end = strchr(text, '\n');
    *stack = *address = 0;
    if (!end || strncmp(text, "running", 7) == 0)
        return is_exiting(pass, thread) ? ENDED : RUNNING;
    char *last = end, *before;
    while (last > text && *last != ' ')
        last--;
    for (before = last - 1; before > text && *before != ' '; )
        before--;
    *address = strtoull(last, NULL, 0);
    *stack = strtoull(before, NULL, 0);
    return append_file(pass, thread, "schedstat", text, 512) ? WAITING : ENDED;
}

// False when it cannot be looked at because it runs.
static bool look_at_waiting(struct pass *pass, int thread)
{
    enum { TRIES = 8 };
    // Its threads' stacks are not where the kernel sees them.
    if (valgrind_runs_us_x86_64())
        return false;
    for (int i = 0; i < TRIES; i++) {
        char before[512], after[512];
        uintptr_t stack, address;
        enum state state = read_state(pass, thread, before, &stack, &address);
        if (state == WAITING) {
            clear(pass);
            stack_note(&pass->scan, address);
            if (stack)
                scan_stack(pass, stack, thread != getpid());
            state = read_state(pass, thread, after, &stack, &address);
        }
        if (state == ENDED)
            return true;
        if (state == WAITING && strcmp(before, after) == 0) {
            // The stack of one that has been joined may be anyone's.
            if (has_found(pass) && !is_exiting(pass, thread))
                report(pass, thread);
            return true;
        }
        // Whoever gives it time to come to rest waits for all that run.
        if (state == RUNNING)
            return false;
    }
    return false;
}

// One that has not answered may have come to rest meanwhile, or be ending.
static void report_asked(void *data, int thread, uint32_t owner,
                         uintptr_t address)
{
    struct pass *pass = data;
    const struct stack_search *search = pass->scan.search;
    if (!address && pass->unanswered != thread) {
        pass->unanswered = thread;
        pass->rested = look_at_waiting(pass, thread);
    }
    if (address || !pass->rested)
        search->report(search->data, thread, owner, address);
}

static void miss_asked(void *data, const char *what)
{
    miss(data, what);
}

// All at once: a thread that does not run just now answers when it does.
static bool ask_running(struct pass *pass)
{
    if (!pass->running.count)
        return true;
    struct stack_search search = *pass->scan.search;
    search.report = report_asked;
    search.miss = miss_asked;
    search.data = pass;
    bool asked = stacks_ask(&search, pass->running.all, pass->running.count);
    pass->running.count = 0;
    return asked;
}

static bool add(struct threads *threads, int thread)
{
    if (threads->count == threads->room) {
        size_t room = threads->room ? 2 * threads->room : 64;
        int *all = vital_resize(threads->all, room * sizeof *all);
        if (!all)
            return false;
        threads->all = all;
        threads->room = room;
    }
    threads->all[threads->count++] = thread;
    return true;
}

static bool is_known(const struct threads *threads, int thread)
{
    for (size_t i = 0; i < threads->count; i++)
        if (threads->all[i] == thread)
            return true;
    return false;
}

// Threads come and go while they are listed: until a list shows no new one.
static bool look_at_others(struct pass *pass)
{
    enum { ROUNDS = 8 };
    bool failed = false, more = true;
    for (int i = 0; i < ROUNDS && more && !failed; i++) {
        DIR *folder = opendir("/proc/self/task");
        if (!folder) {
            miss(pass, "other threads' stacks are not looked at: "
                       "/proc/self/task cannot be read");
            return true;
        }
        pass->tasks = dirfd(folder);
        more = false;
        for (struct dirent *entry; (entry = readdir(folder)) && !failed; ) {
            int thread = atoi(entry->d_name);
            if (thread <= 0 || thread == pass->self
                || is_known(&pass->seen, thread))
                continue;
            more = true;
            failed = !add(&pass->seen, thread)
                  || (!look_at_waiting(pass, thread)
                      && !add(&pass->running, thread));
        }
        failed = failed || !ask_running(pass);
        closedir(folder);
    }
    return !failed;
}

bool stacks_search(const struct stack_search *search)
{
    struct pass pass = {
        .scan = { search,
                  vital_resize(NULL, search->owners * sizeof(uintptr_t)), 0 },
        .self = (int)syscall(SYS_gettid), .memory = NOT_OPEN,
        .words = vital_resize(NULL, CHUNK + 8 * STACK_BEYOND),
    };
    bool done = pass.scan.found && pass.words;
    if (done) {
        clear(&pass);
        look_at_self(&pass);
        if (!__libc_single_threaded)
            done = look_at_others(&pass);
        stacks_look_after_late();
    }
    if (pass.memory >= 0)
        close(pass.memory);
    vital_free(pass.seen.all);
    vital_free(pass.running.all);
    vital_free(pass.words);
    vital_free(pass.scan.found);
    return done;
}
