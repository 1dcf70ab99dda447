// Handlers of forks and of the end of the process. glibc forgets those that
// were set for a dynamic shared object (Itanium C++ ABI 3.3.6) when that one
// calls __cxa_finalize, as it does when it is stopped. What is left after that
// was set for another, or for none.

#include <errno.h>
#include <stdlib.h>

#include "bookings.h"
#include "exits.h"
#include "wrappers.h"

// glibc's, which have no header.
extern int __register_atfork(void (*prepare)(void), void (*parent)(void),
                             void (*child)(void), void *dso);
extern int __cxa_at_quick_exit(void (*function)(void *), void *dso);

// What is for no object in particular is under this key, and never ends.
static char unowned;

int at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
            void *dso)
{
    const void *const handlers[] = { (const void *)prepare,
                                     (const void *)parent,
                                     (const void *)child };
    struct booking *bookings[3] = { NULL };
    uintptr_t key = (uintptr_t)(dso ? dso : &unowned);
    int error = 0;
    for (int i = 0; i < 3 && !error; i++)
        if (!booking_at(E64_PIN_FORK, handlers[i], key, &bookings[i]))
            error = ENOMEM;
    if (!error)
        error = __register_atfork(prepare, parent, child, dso);
    for (int i = 0; i < 3 && error; i++)
        booking_end(bookings[i]);
    return error;
}

int at_fork_unowned(void (*prepare)(void), void (*parent)(void),
                    void (*child)(void))
{
    return at_fork(prepare, parent, child, NULL);
}

int at_exit(void (*function)(void *), void *argument, void *dso)
{
    struct booking *booking;
    uintptr_t key = (uintptr_t)(dso ? dso : &unowned);
    if (!booking_at(E64_PIN_EXIT, (const void *)function, key, &booking))
        return -1;
    int error = exits_add(function, argument, dso);
    if (error)
        booking_end(booking);
    return error;
}

int at_quick_exit_of(void (*function)(void *), void *dso)
{
    struct booking *booking;
    uintptr_t key = (uintptr_t)(dso ? dso : &unowned);
    if (!booking_at(E64_PIN_EXIT, (const void *)function, key, &booking))
        return -1;
    int error = __cxa_at_quick_exit(function, dso);
    if (error)
        booking_end(booking);
    return error;
}

int at_exit_unowned(void (*function)(int, void *), void *argument)
{
    struct booking *booking;
    if (!booking_at(E64_PIN_EXIT, (const void *)function, (uintptr_t)&unowned,
                  &booking))
        return -1;
    int error = on_exit(function, argument);
    if (error)
        booking_end(booking);
    return error;
}

void at_end_of(void *dso)
{
    exits_run(dso);
    if (!dso)
        return;
    bookings_end(bookings_take(E64_PIN_EXIT, (uintptr_t)dso));
    bookings_end(bookings_take(E64_PIN_FORK, (uintptr_t)dso));
}
