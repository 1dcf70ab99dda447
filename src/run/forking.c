// Fork: the locks of this room are held while the process is copied, so that
// what they guard is whole in the child. There, what other threads were doing
// is left as it stood: nobody waits for them.

#include "run.h"

#include "debugger.h"
#include "work.h"

static void before(void)
{
    runtimes_before_fork();
    debugger_before_fork();
    work_before_fork();
}

static void after(bool child)
{
    work_after_fork(child);
    debugger_after_fork(child);
    runtimes_after_fork(child);
}

static void in_parent(void)
{
    after(false);
}

static void in_child(void)
{
    after(true);
}

static int error;

static void watch(void)
{
    error = pthread_atfork(before, in_parent, in_child);
}

bool forking_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
    return !error;
}
