#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// Numbers that the kernel does not have: the child talks to its tracer by them.
enum { BEGIN = 0xe640, END = 0xe641 };

// ------------------------------------------------------------ the calls ---

// What becomes of a call that fails.
enum way {
    REFUSED, // it is not carried out
    DONE,    // it is, and says that it was not
    QUERIED, // it is asked to change nothing: how brk fails
};

enum kind { OTHER, MEMORY, DESCRIPTOR };

enum { MOST_ERRORS = 4 };

// Those that are made to fail, and how. What is not in this list cannot fail
// (getpid, clock_gettime), does not come back (exit, rt_sigreturn), fails in
// the ordinary course of things and is tried again (futex, nanosleep,
// sched_yield), or has nobody to tell (set_robust_list and rseq, of a new
// thread; rt_sigprocmask, of glibc's own).
static const struct call {
    long number;
    const char *name;
    enum kind kind;
    enum way way;
    int errors[MOST_ERRORS];
} calls[] = {
    { SYS_openat, "openat", DESCRIPTOR, REFUSED,
      { EMFILE, ENOMEM, EIO, EACCES } },
    { SYS_open, "open", DESCRIPTOR, REFUSED, { EMFILE, ENOMEM, EIO, EACCES } },
    { SYS_fstat, "fstat", OTHER, REFUSED, { EIO, ENOMEM } },
    { SYS_stat, "stat", OTHER, REFUSED, { ENOMEM, EIO, EACCES } },
    { SYS_newfstatat, "newfstatat", OTHER, REFUSED, { ENOMEM, EIO, EACCES } },
    { SYS_read, "read", OTHER, REFUSED, { EIO, EINTR } },
    { SYS_pread64, "pread64", OTHER, REFUSED, { EIO, EINTR } },
    { SYS_write, "write", OTHER, REFUSED, { ENOSPC, EIO } },
    { SYS_readlink, "readlink", OTHER, REFUSED, { ENOMEM, EACCES } },
    { SYS_getcwd, "getcwd", OTHER, REFUSED, { ENOENT, ENOMEM } },
    { SYS_getdents64, "getdents64", OTHER, REFUSED, { ENOMEM, EIO } },
    { SYS_mmap, "mmap", MEMORY, REFUSED, { ENOMEM, EAGAIN } },
    { SYS_mprotect, "mprotect", MEMORY, REFUSED, { ENOMEM, EACCES } },
    { SYS_madvise, "madvise", MEMORY, REFUSED, { ENOMEM } },
    // Where it would have to divide a mapping and there are too many.
    { SYS_munmap, "munmap", OTHER, REFUSED, { ENOMEM } },
    { SYS_mremap, "mremap", MEMORY, REFUSED, { ENOMEM } },
    { SYS_brk, "brk", MEMORY, QUERIED, { ENOMEM } },
    // Linux has given the descriptor up by the time that it says so.
    { SYS_close, "close", OTHER, DONE, { EIO, EINTR } },
    { SYS_memfd_create, "memfd_create", DESCRIPTOR, REFUSED,
      { EMFILE, ENOMEM } },
    { SYS_clone, "clone", MEMORY, REFUSED, { EAGAIN, ENOMEM } },
    { SYS_clone3, "clone3", MEMORY, REFUSED, { EAGAIN, ENOMEM } },
    { SYS_rt_sigaction, "rt_sigaction", OTHER, REFUSED, { EPERM } },
    { SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", OTHER, REFUSED,
      { EAGAIN, EPERM } },
};

static const struct call *find(long number)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

const char *tracer_name(long number)
{
    const struct call *call = find(number);
    return call ? call->name : "a system call";
}

static int error_of(const struct call *call, long variant)
{
    int count = 0;
    while (count < MOST_ERRORS && call->errors[count])
        count++;
    return call->errors[variant % count];
}

// ------------------------------------------------------------ the child ---

void tracer_join(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
}

void tracer_begin(long at, long variant, enum tracer_mode mode)
{
    syscall(BEGIN, at, variant, (long)mode);
}

void tracer_end(struct tracer_report *report)
{
    *report = (struct tracer_report){ .number = -1 };
    syscall(END, report);
}

// ----------------------------------------------------------- the parent ---

// The threads of the child, of which most are short-lived.
enum { MOST_THREADS = 256 };

static struct thread {
    pid_t id; // 0: free
    bool inside;    // of a system call
    long answer;    // negative errno to give out when it leaves; 0: none
    bool queried;
    unsigned long long argument; // that it had before it was queried
    bool heapless; // the call before was a brk that failed
    unsigned long heap; // the size of a mapping that it asks for instead
} threads[MOST_THREADS];

static struct {
    bool active;
    long at, variant;
    enum tracer_mode mode;
    enum kind kind; // of the call that has failed
    struct tracer_report report;
} plan;

static struct thread *thread_of(pid_t id)
{
    struct thread *unused = NULL;
    for (int i = 0; i < MOST_THREADS; i++) {
        if (threads[i].id == id)
            return &threads[i];
        if (!threads[i].id && !unused)
            unused = &threads[i];
    }
    *unused = (struct thread){ .id = id };
    return unused;
}

static void get(pid_t id, struct user_regs_struct *registers)
{
    struct iovec all = { registers, sizeof *registers };
    ptrace(PTRACE_GETREGSET, id, (void *)NT_PRSTATUS, &all);
}

static void set(pid_t id, struct user_regs_struct *registers)
{
    struct iovec all = { registers, sizeof *registers };
    ptrace(PTRACE_SETREGSET, id, (void *)NT_PRSTATUS, &all);
}

static void tell(pid_t id, uintptr_t address)
{
    struct iovec from = { &plan.report, sizeof plan.report };
    struct iovec to = { (void *)address, sizeof plan.report };
    process_vm_writev(id, &from, 1, &to, 1, 0);
}

static bool is_due(const struct call *call)
{
    plan.report.calls++;
    if (plan.report.number < 0) {
        if (plan.report.calls != plan.at)
            return false;
        plan.report.number = call->number;
        plan.report.error = error_of(call, plan.variant);
        plan.kind = call->kind;
        return true;
    }
    bool alike = call->number == plan.report.number
              || (call->kind != OTHER && call->kind == plan.kind);
    if (plan.mode == TRACER_ONE || !alike)
        return false;
    plan.report.afterwards++;
    return true;
}

// Of anonymous memory, as malloc asks for it.
static unsigned long heap_size(const struct user_regs_struct *registers)
{
    return registers->orig_rax == SYS_mmap
        && registers->rdx == (PROT_READ | PROT_WRITE)
        && registers->r10 == (MAP_PRIVATE | MAP_ANONYMOUS) ? registers->rsi : 0;
}

// When a thread is about to make a system call.
static void enter(struct thread *thread, struct user_regs_struct *registers)
{
    long number = (long)registers->orig_rax;
    if (number == BEGIN) {
        memset(&plan, 0, sizeof plan);
        plan.active = true;
        plan.at = (long)registers->rdi;
        plan.variant = (long)registers->rsi;
        plan.mode = (enum tracer_mode)registers->rdx;
        plan.report.number = -1;
    } else if (number == END) {
        plan.active = false;
        tell(thread->id, registers->rdi);
    }
    if (!plan.active)
        return;
    thread->heap = thread->heapless ? heap_size(registers) : 0;
    thread->heapless = false;
    const struct call *call = find(number);
    if (!call) {
        plan.report.left_out += number != BEGIN;
        return;
    }
    if (!is_due(call))
        return;
    switch (call->way) {
    case REFUSED:
        registers->orig_rax = (unsigned long long)-1; // none
        thread->answer = -error_of(call, plan.variant);
        break;
    case DONE:
        thread->answer = -error_of(call, plan.variant);
        return;
    case QUERIED:
        thread->queried = true;
        thread->heapless = true;
        thread->argument = registers->rdi;
        registers->rdi = 0;
        break;
    }
    set(thread->id, registers);
}

static void leave(struct thread *thread, struct user_regs_struct *registers)
{
    if (thread->heap && !thread->answer && registers->rax < -4095ull)
        plan.report.heap = (struct tracer_heap){ registers->rax,
                                                 registers->rax + thread->heap };
    thread->heap = 0;
    if (!thread->answer && !thread->queried)
        return;
    if (thread->answer)
        registers->rax = (unsigned long long)thread->answer;
    if (thread->queried) // system calls leave their arguments as they were
        registers->rdi = thread->argument;
    thread->answer = 0;
    thread->queried = false;
    set(thread->id, registers);
}

// A stop of a thread. Returns the signal that it is to be given.
static int handle(struct thread *thread, int status)
{
    int number = WSTOPSIG(status);
    if (number == (SIGTRAP | 0x80)) {
        struct user_regs_struct registers;
        get(thread->id, &registers);
        thread->inside = !thread->inside;
        if (thread->inside)
            enter(thread, &registers);
        else
            leave(thread, &registers);
        return 0;
    }
    // Of ptrace itself: a new thread, and its first stop.
    if (status >> 16 || number == SIGSTOP || number == SIGTRAP)
        return 0;
    return number;
}

int tracer_run(pid_t child)
{
    int status;
    memset(threads, 0, sizeof threads);
    memset(&plan, 0, sizeof plan);
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, NULL,
           (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE
                    | PTRACE_O_EXITKILL));
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0)
            return -1;
        if (!WIFSTOPPED(status)) {
            if (id == child)
                return status;
            thread_of(id)->id = 0;
            continue;
        }
        int signal = handle(thread_of(id), status);
        ptrace(PTRACE_SYSCALL, id, NULL, (void *)(long)signal);
    }
}
