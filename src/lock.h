// Locks of this loader.
//
// glibc's loader has a lock of its own and holds it while constructors run,
// which may call us. So nothing of glibc's loader may be called while a lock of
// ours is held: two threads would wait for each other. Builds with assertions
// check that (all but release).
//
// The locks let the thread in that holds them already: around a fork they are
// held while the handlers of others run, which may call us.

#ifndef E64_LOCK_H
#define E64_LOCK_H

#include <pthread.h>
#include <stdbool.h>

struct lock {
    pthread_mutex_t mutex;
};

#define LOCK_INITIALIZER { PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP }

void lock_make(struct lock *lock); // one that has no initialiser
void lock_unmake(struct lock *lock);

void lock_take(struct lock *lock);
void lock_give(struct lock *lock);
// Without waiting: false when another thread has it.
bool lock_try(struct lock *lock);
// Gives it up until `condition` is signalled, or for no reason. The thread has
// taken it once.
void lock_wait(struct lock *lock, pthread_cond_t *condition);

// For handlers of pthread_atfork: what the lock guards is whole in the child,
// which has a new lock.
void lock_before_fork(struct lock *lock);
void lock_after_fork(struct lock *lock, bool child);

// To be called before glibc's loader is: the calling thread holds no lock.
void lock_check_none(void);

#endif
