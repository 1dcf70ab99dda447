// Locks of this loader.

#include "lock.h"

#include <assert.h>

#ifdef NDEBUG
static inline void count(int change)
{
    (void)change;
}

void lock_check_none(void)
{
}
#else
// How many the thread holds, those of a fork not counted.
static __thread int held __attribute__((tls_model("initial-exec")));

static inline void count(int change)
{
    held += change;
}

void lock_check_none(void)
{
    assert(!held && "glibc's loader is called under a lock of elf64load");
}
#endif

void lock_make(struct lock *lock)
{
    *lock = (struct lock)LOCK_INITIALIZER;
}

void lock_unmake(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    count(1);
}

void lock_give(struct lock *lock)
{
    count(-1);
    pthread_mutex_unlock(&lock->mutex);
}

bool lock_try(struct lock *lock)
{
    if (pthread_mutex_trylock(&lock->mutex) != 0)
        return false;
    count(1);
    return true;
}

void lock_wait(struct lock *lock, pthread_cond_t *condition)
{
    pthread_cond_wait(condition, &lock->mutex);
}

void lock_before_fork(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

void lock_after_fork(struct lock *lock, bool child)
{
    if (child)
        lock_make(lock);
    else
        pthread_mutex_unlock(&lock->mutex);
}
