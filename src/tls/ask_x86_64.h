// Asks another thread something, which it answers from a signal handler. The
// signal is number 33, which glibc keeps for itself (setxid) and no thread
// blocks; glibc's own uses of it are passed on.

#ifndef TLS_ASK_X86_64_H
#define TLS_ASK_X86_64_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "../elf64load.h"

// Whoever asks has one of these, which must be there as long as it is pending:
// a thread that does not run for long answers late.
struct question {
    const void *mark;  // by which the handler knows its own
    atomic_int answer; // ASK_ASKED, ASK_ENDED or what was answered
    int tid;
    // Called in the thread, with what it was doing: may use nothing of libc,
    // see RAW. Answers ASK_ANSWERED or more.
    int (*examine)(struct question *question, const ucontext_t *context);
};

enum { ASK_ASKED, ASK_ENDED, ASK_ANSWERED };

// Sends it to its thread, `tid`; the answer is ASK_ASKED, or ASK_ENDED when the
// thread is no more. Fails as question_refused says.
e64_status question_ask(struct question *question);

// Has it still to be answered? When the thread has ended meanwhile, it has not.
bool question_is_pending(struct question *question);

// A system call has failed that the threads of the process are found by. What
// the process has run out of is an error of the system, what it may not do is
// not supported.
e64_status question_refused(const char *what);

void questions_before_fork(void);
void questions_after_fork(bool child);

// ------------------------------------------------------ for `examine` ---
// It may run in a thread that has no libc, on a small stack: nothing of libc,
// nor errno, nor the stack protector, nor what sanitizers insert is used.

#define RAW __attribute__((no_stack_protector, no_sanitize("address"),  \
                           no_sanitize("undefined"), no_sanitize("thread")))

static inline RAW long raw_call(long number, long a, long b, long c, long d)
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
static inline RAW bool raw_is_readable(uintptr_t address)
{
    return raw_call(SYS_rt_sigprocmask, -1, (long)address, 0, 8) == -EINVAL;
}

#endif
