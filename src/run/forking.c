// Fork: the locks of this room are held while the process is copied, so that
// what they guard is whole in the child. There, what other threads were doing
// is left as it stood: nobody waits for them.

#include "run.h"

#include "bookings.h"
#include "debugger.h"
#include "stacks.h"
#include "work.h"

static void before(void)
{
    runtimes_before_fork();
    debugger_before_fork();
    work_before_fork();
    bookings_before_fork();
    stacks_before_fork();
}

static void after(bool child)
{
    stacks_after_fork(child);
    bookings_after_fork(child);
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

// What failed is tried again the next time.
bool forking_watch(void)
{
    static struct lock lock = LOCK_INITIALIZER;
    static bool watched;
    lock_take(&lock);
    if (!watched)
        watched = pthread_atfork(before, in_parent, in_child) == 0;
    bool answer = watched;
    lock_give(&lock);
    return answer;
}
