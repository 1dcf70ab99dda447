// What fork does to this loader. One set of handlers for all of it, because
// handlers of pthread_atfork run in the order in which they were set, and locks
// must be taken in theirs.

#include "forks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic(const struct fork_part *) parts[FORK_RANKS];

// Of the fork that the thread is in the middle of, by rank: others may be set
// meanwhile.
static __thread unsigned entered __attribute__((tls_model("initial-exec")));

static void before(void)
{
    entered = 0;
    for (int rank = 0; rank < FORK_RANKS; rank++) {
        const struct fork_part *part = atomic_load(&parts[rank]);
        if (part) {
            part->before();
            entered |= 1u << rank;
        }
    }
}

static void after(bool child)
{
    for (int rank = FORK_RANKS; rank-- > 0; )
        if (entered & 1u << rank)
            atomic_load(&parts[rank])->after(child);
}

static void in_parent(void)
{
    after(false);
}

static void in_child(void)
{
    after(true);
}

static atomic_bool watched;

// Before another thread can fork while they are set: when the loader comes to
// the process, or when a constructor that runs even earlier uses it. If there
// was no memory then, one of the threads that come later tries again.
__attribute__((constructor(101))) static void watch(void)
{
    static atomic_flag trying = ATOMIC_FLAG_INIT;
    if (atomic_load(&watched) || atomic_flag_test_and_set(&trying))
        return;
    if (!atomic_load(&watched))
        atomic_store(&watched,
                     pthread_atfork(before, in_parent, in_child) == 0);
    atomic_flag_clear(&trying);
}

bool forks_watch(enum fork_rank rank, const struct fork_part *part)
{
    watch();
    if (!atomic_load(&watched))
        return false;
    if (!atomic_load(&parts[rank]))
        atomic_store(&parts[rank], part);
    return true;
}
