// Threads whose first function is a plugin's. What is to be called of it when
// they end, destructors of thread_local objects and of keys, is booked apart.

#include <errno.h>

#include "../memory.h"
#include "bookings.h"
#include "wrappers.h"

struct start {
    union {
        void *(*posix)(void *);
        thrd_start_t c11;
    } routine;
    void *argument;
    struct booking *booking;
};

// NULL in *start when the routine is no plugin's. False without memory.
static bool prepare(const void *routine, void *argument, struct start **start)
{
    struct booking *booking;
    *start = NULL;
    if (!booking_at(E64_PIN_THREAD, routine, 0, &booking))
        return false;
    if (!booking)
        return true;
    *start = memory_new(sizeof **start);
    if (!*start) {
        booking_end(booking);
        return false;
    }
    (*start)->argument = argument;
    (*start)->booking = booking;
    return true;
}

static void give_up(struct start *start)
{
    booking_end(start->booking);
    memory_free(start);
}

static struct start begin(void *data)
{
    struct start start = *(struct start *)data;
    memory_free(data);
    booking_thread(start.booking);
    return start;
}

// Whether the routine returns, calls pthread_exit or is cancelled: nothing of
// it is on the stack any more.
static void end(void *booking)
{
    booking_end(booking);
}

static void *run(void *data)
{
    const struct start start = begin(data);
    void *answer;
    pthread_cleanup_push(end, start.booking);
    answer = start.routine.posix(start.argument);
    pthread_cleanup_pop(1);
    return answer;
}

static int run_c11(void *data)
{
    const struct start start = begin(data);
    int answer;
    pthread_cleanup_push(end, start.booking);
    answer = start.routine.c11(start.argument);
    pthread_cleanup_pop(1);
    return answer;
}

int thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                  void *(*routine)(void *), void *argument)
{
    struct start *start;
    if (!prepare((const void *)routine, argument, &start))
        return EAGAIN;
    if (!start)
        return pthread_create(thread, attributes, routine, argument);
    start->routine.posix = routine;
    int error = pthread_create(thread, attributes, run, start);
    if (error)
        give_up(start);
    return error;
}

int thread_create_c11(thrd_t *thread, thrd_start_t routine, void *argument)
{
    struct start *start;
    if (!prepare((const void *)routine, argument, &start))
        return thrd_nomem;
    if (!start)
        return thrd_create(thread, routine, argument);
    start->routine.c11 = routine;
    int error = thrd_create(thread, run_c11, start);
    if (error != thrd_success)
        give_up(start);
    return error;
}
