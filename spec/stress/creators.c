#include "creators.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 16, MOST_CREATORS = 16, STAYING = 4, TIMERS = 2, BATCH = 4 };

static struct place {
    _Atomic(long (*)(long)) check; // NULL: free, or being left
    atomic_long inside;
} places[PLACES];

static atomic_bool stop;
static atomic_long created, running, stale, failed;
static pthread_t creators[MOST_CREATORS], staying[STAYING];
static long creator_count;
static timer_t timers[TIMERS];

static void check_all(bool first)
{
    for (int i = 0; i < PLACES; i++) {
        struct place *place = &places[i];
        atomic_fetch_add(&place->inside, 1);
        long (*check)(long) = atomic_load(&place->check);
        if (check && check(first) != 0)
            atomic_fetch_add(&stale, 1);
        atomic_fetch_sub(&place->inside, 1);
    }
}

// What each new thread does.
static void *run(void *data)
{
    check_all(true);
    atomic_fetch_add(&created, 1);
    atomic_fetch_sub(&running, 1);
    return data;
}

static int run_c11(void *data)
{
    run(data);
    return 0;
}

static void run_timer(union sigval value)
{
    (void)value;
    atomic_fetch_add(&running, 1);
    run(NULL);
}

static void *stay(void *data)
{
    while (!atomic_load(&stop)) {
        check_all(false);
        usleep(300);
    }
    return data;
}

static bool create(pthread_t *thread, const pthread_attr_t *attributes)
{
    // Detached ones would pile up on a slow machine.
    while (atomic_load(&running) > 200)
        sched_yield();
    atomic_fetch_add(&running, 1);
    if (pthread_create(thread, attributes, run, NULL) == 0)
        return true;
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&failed, 1);
    return false;
}

static void create_joined(const pthread_attr_t *attributes)
{
    pthread_t threads[BATCH];
    bool there[BATCH];
    for (int i = 0; i < BATCH; i++)
        there[i] = create(&threads[i], attributes);
    for (int i = 0; i < BATCH; i++)
        if (there[i])
            pthread_join(threads[i], NULL);
}

static void create_detached(pthread_attr_t *attributes)
{
    pthread_t thread;
    pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < BATCH; i++)
        create(&thread, attributes);
}

static void create_c11(void)
{
    thrd_t thread;
    atomic_fetch_add(&running, 1);
    if (thrd_create(&thread, run_c11, NULL) == thrd_success) {
        thrd_join(thread, NULL);
    } else {
        atomic_fetch_sub(&running, 1);
        atomic_fetch_add(&failed, 1);
    }
}

// On a stack of our own, which is something else afterwards: what the loader
// writes to threads that have ended would be seen.
static void create_on(pthread_attr_t *attributes, unsigned char *stack,
                      size_t size)
{
    pthread_t thread;
    pthread_attr_setstack(attributes, stack, size);
    if (!create(&thread, attributes))
        return;
    pthread_join(thread, NULL);
    for (size_t i = 0; i < size; i += 64)
        stack[i] = 0xa5;
    sched_yield();
    for (size_t i = 0; i < size; i += 64)
        if (stack[i] != 0xa5)
            atomic_fetch_add(&stale, 1);
}

static void *work(void *data)
{
    const size_t size = 128 << 10;
    unsigned char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long turn = (long)data; !atomic_load(&stop); turn++) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        if (turn % 2)
            pthread_attr_setstacksize(&attributes, size);
        switch (turn % 5) {
        case 0:
            create_joined(NULL);
            break;
        case 1:
            create_joined(&attributes);
            break;
        case 2:
            create_detached(&attributes);
            break;
        case 3:
            create_c11();
            break;
        case 4:
            create_on(&attributes, stack, size);
            break;
        }
        pthread_attr_destroy(&attributes);
        if (turn % 400 == 399 && stress_fork() != 0)
            atomic_fetch_add(&stale, 1);
    }
    munmap(stack, size);
    return NULL;
}

void stress_begin(long count)
{
    creator_count = count < MOST_CREATORS ? count : MOST_CREATORS;
    for (long i = 0; i < STAYING; i++)
        pthread_create(&staying[i], NULL, stay, NULL);
    for (long i = 0; i < creator_count; i++)
        pthread_create(&creators[i], NULL, work, (void *)i);
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD,
                                  .sigev_notify_function = run_timer };
        struct itimerspec often = { { 0, 500000 }, { 0, 500000 } };
        timer_create(CLOCK_MONOTONIC, &event, &timers[i]);
        timer_settime(timers[i], 0, &often, NULL);
    }
}

long stress_enter(long (*check)(long))
{
    for (long i = 0; i < PLACES; i++) {
        long (*none)(long) = NULL;
        if (atomic_load(&places[i].inside) == 0
            && atomic_compare_exchange_strong(&places[i].check, &none, check))
            return i;
    }
    return -1;
}

void stress_leave(long place)
{
    atomic_store(&places[place].check, NULL);
    while (atomic_load(&places[place].inside))
        sched_yield();
}

void stress_wait(long threads)
{
    while (atomic_load(&created) < threads)
        usleep(100);
}

static void *check_again(void *data)
{
    check_all(true);
    return data;
}

// Of what other threads were in when they were copied nothing is asked.
long stress_fork(void)
{
    // The sanitizers' own locks stay as they are in a child.
    if (getenv("STRESS_WITHOUT_FORK"))
        return 0;
    long before = atomic_load(&stale);
    int status;
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        alarm(200);
        check_all(false);
        bool ran = pthread_create(&thread, NULL, check_again, NULL) == 0
                && pthread_join(thread, NULL) == 0;
        _exit(!ran || atomic_load(&stale) != before);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0
         ? 0 : -1;
}

void stress_end(void)
{
    for (int i = 0; i < TIMERS; i++)
        timer_delete(timers[i]);
    atomic_store(&stop, true);
    for (long i = 0; i < creator_count; i++)
        pthread_join(creators[i], NULL);
    for (long i = 0; i < STAYING; i++)
        pthread_join(staying[i], NULL);
    while (atomic_load(&running))
        usleep(100);
}

long stress_threads(void)
{
    return atomic_load(&created);
}

long stress_stale(void)
{
    return atomic_load(&stale);
}

long stress_failed(void)
{
    return atomic_load(&failed);
}
