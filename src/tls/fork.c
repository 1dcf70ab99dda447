// Fork: the locks of this room are held while the process is copied, so that
// what they guard is whole in the child, which makes them new.
//
// They are held for long: fork handlers that were set earlier run in between,
// and may use what is guarded in the thread that forks. So the locks let that
// one in.

#include "fork.h"

#include <pthread.h>
#include <stdlib.h>

#include "../lock.h"
#include "ask_x86_64.h"
#include "module.h"
#include "pool.h"
#include "threads.h"

static void before(void)
{
    modules_before_fork();
    pool_before_fork();
    blocks_before_fork();
    questions_before_fork();
    threads_before_fork();
}

static void after(bool child)
{
    threads_after_fork(child);
    questions_after_fork(child);
    blocks_after_fork(child);
    pool_after_fork(child);
    modules_after_fork(child);
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
bool fork_watch(void)
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
