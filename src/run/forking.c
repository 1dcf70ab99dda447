// What fork does to this room: in the child, what other threads were doing is
// left as it stood. Nobody waits for them.

#include "run.h"

#include "../forks.h"
#include "bookings.h"
#include "debugger.h"
#include "objects.h"
#include "stacks.h"
#include "work.h"

static void before_fork(void)
{
    runtimes_before_fork();
    debugger_before_fork();
    jit_before_fork();
    work_before_fork();
    bookings_before_fork();
    stacks_before_fork();
}

static void after_fork(bool child)
{
    stacks_after_fork(child);
    bookings_after_fork(child);
    work_after_fork(child);
    jit_after_fork(child);
    debugger_after_fork(child);
    runtimes_after_fork(child);
}

bool forking_watch(void)
{
    static const struct fork_part part = { before_fork, after_fork };
    return forks_watch(FORK_RUN, &part);
}
