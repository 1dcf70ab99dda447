// Asks another thread something, which it answers from a signal handler.

#include "ask_x86_64.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../lock.h"
#include "fork.h"

enum { SIGNAL = 33 };

// What the kernel takes (signal(7)); glibc's sigaction refuses this signal.
struct kernel_action {
    void *handler;
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static const char mark;
static struct kernel_action before; // what the signal did
static bool set;
// Guards these two while the handler is set. A leaf.
static struct lock lock = LOCK_INITIALIZER;

// Another copy of this loader may ask by the same signal; others may have sent
// anything. A seccomp filter may keep the thread from asking the kernel.
static RAW bool is_ours(const siginfo_t *info)
{
    const struct question *question = info->si_value.sival_ptr;
    return info->si_code == SI_QUEUE
        && info->si_pid == raw_call(SYS_getpid, 0, 0, 0, 0)
        && (uintptr_t)question % _Alignof(struct question) == 0
        && raw_call(SYS_rt_sigprocmask, -1, (long)question, 0, 8) != -EFAULT
        && question->mark == &mark;
}

static RAW void handle(int number, siginfo_t *info, void *context)
{
    if (is_ours(info)) {
        struct question *question = info->si_value.sival_ptr;
        atomic_store(&question->answer, question->examine(question, context));
    } else if (before.handler != (void *)SIG_DFL
               && before.handler != (void *)SIG_IGN) {
        ((void (*)(int, siginfo_t *, void *))before.handler)(number, info,
                                                             context);
    }
}

__asm__ (".pushsection .text\n"
         "    nop\n" // unwinders look one byte before
         "ask_return:\n"
         "    movq $15, %rax\n" // rt_sigreturn
         "    syscall\n"
         ".popsection\n");
extern void ask_return(void) __attribute__((visibility("hidden")));

e64_status question_refused(const char *what)
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
    const struct kernel_action ours = {
        (void *)handle, SA_SIGINFO | SA_ONSTACK | SA_RESTART | RESTORER,
        ask_return, 0 };
    struct kernel_action now;
    if (syscall(SYS_rt_sigaction, SIGNAL, NULL, &now, sizeof now.mask) != 0)
        return question_refused("reading the handler of signal 33 "
                                "(rt_sigaction)");
    if (now.handler == (void *)handle
        || (set && now.handler != before.handler))
        return E64_OK;
    before = now;
    if (syscall(SYS_rt_sigaction, SIGNAL, &ours, NULL, sizeof ours.mask) != 0)
        return question_refused("handling signal 33 (rt_sigaction)");
    set = true;
    return E64_OK;
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

e64_status question_ask(struct question *question)
{
    enum { TRIES = 1000 };
    siginfo_t info;
    fork_watch();
    lock_take(&lock);
    e64_status status = set_handler();
    lock_give(&lock);
    if (status != E64_OK)
        return status;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = question;
    question->mark = &mark;
    atomic_store(&question->answer, ASK_ASKED);
    for (int i = 0; i < TRIES; i++) {
        if (syscall(SYS_rt_tgsigqueueinfo, getpid(), question->tid, SIGNAL,
                    &info) == 0)
            return E64_OK;
        if (errno == ESRCH) {
            atomic_store(&question->answer, ASK_ENDED);
            return E64_OK;
        }
        if (errno != EAGAIN)
            return question_refused("sending a thread a signal "
                                    "(rt_tgsigqueueinfo)");
        usleep(1000);
    }
    status = fail(E64_SYSTEM, "the process has other threads, which no signals "
                  "can be sent to: too many are queued (RLIMIT_SIGPENDING)");
    error_errno(EAGAIN);
    return status;
}

bool question_is_pending(struct question *question)
{
    int asked = ASK_ASKED;
    if (atomic_load(&question->answer) != ASK_ASKED)
        return false;
    if (has_ended(question))
        atomic_compare_exchange_strong(&question->answer, &asked, ASK_ENDED);
    return atomic_load(&question->answer) == ASK_ASKED;
}

void questions_before_fork(void)
{
    lock_before_fork(&lock);
}

void questions_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}
