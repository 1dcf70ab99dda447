// What fork does to this room.

#include "fork.h"

#include "../forks.h"
#include "ask_x86_64.h"
#include "module.h"
#include "pool.h"
#include "threads.h"

static void before_fork(void)
{
    modules_before_fork();
    pool_before_fork();
    blocks_before_fork();
    questions_before_fork();
    threads_before_fork();
}

static void after_fork(bool child)
{
    threads_after_fork(child);
    questions_after_fork(child);
    blocks_after_fork(child);
    pool_after_fork(child);
    modules_after_fork(child);
}

bool fork_watch(void)
{
    static const struct fork_part part = { before_fork, after_fork };
    return forks_watch(FORK_TLS, &part);
}
