// Keys of thread-specific data whose destructor is a plugin's: any thread may
// call it when it ends, until the key is deleted.

#include <errno.h>

#include "bookings.h"
#include "wrappers.h"

int key_create(pthread_key_t *key, void (*destroy)(void *))
{
    int error = pthread_key_create(key, destroy);
    if (error)
        return error;
    // One that is booked under that number has been deleted behind our back.
    bookings_end(bookings_take(E64_PIN_KEY, *key));
    struct booking *booking;
    if (booking_at(E64_PIN_KEY, (const void *)destroy, *key, &booking))
        return 0;
    pthread_key_delete(*key);
    return ENOMEM;
}

int key_delete(pthread_key_t key)
{
    // Not booked any more before the number can be another's; ended when the
    // destructor cannot be called any more.
    struct booking *taken = bookings_take(E64_PIN_KEY, key);
    int error = pthread_key_delete(key);
    bookings_end(taken);
    return error;
}

// glibc's C11 keys are POSIX keys.
_Static_assert(sizeof(tss_t) == sizeof(pthread_key_t), "tss_t");

int key_create_c11(tss_t *key, tss_dtor_t destroy)
{
    return key_create(key, destroy) == 0 ? thrd_success : thrd_error;
}

void key_delete_c11(tss_t key)
{
    key_delete(key);
}
