// What plugins get in place of those functions of libc that are given a
// function of theirs to call later. Each does what libc's does, and books that
// the plugin is still to be called.

#ifndef RUN_WRAPPERS_H
#define RUN_WRAPPERS_H

#include <pthread.h>
#include <threads.h>

// -------------------------------------------------------------- keys.c ---

int key_create(pthread_key_t *key, void (*destroy)(void *));
int key_delete(pthread_key_t key);
int key_create_c11(tss_t *key, tss_dtor_t destroy);
void key_delete_c11(tss_t key);

// ------------------------------------------------------ thread_start.c ---

int thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                  void *(*routine)(void *), void *argument);
int thread_create_c11(thrd_t *thread, thrd_start_t routine, void *argument);

// ------------------------------------------------------------ at_end.c ---

int at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
            void *dso);
int at_fork_unowned(void (*prepare)(void), void (*parent)(void),
                    void (*child)(void));
int at_exit(void (*function)(void *), void *argument, void *dso);
int at_quick_exit_of(void (*function)(void *), void *dso);
int at_exit_unowned(void (*function)(int, void *), void *argument);
void at_end_of(void *dso);

#endif
