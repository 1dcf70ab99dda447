// Destructors of plugins' thread_local objects. glibc would book those of an
// object that it does not know on the main program, and run them when their
// code is gone. So each is a registration of ours with glibc, which keeps the
// order with the host's own, and counts for its plugin until it has run.

#include "thread_exit.h"

#include <stdlib.h>

#include "../memory.h"
#include "bookings.h"

struct registration {
    void (*destroy)(void *object);
    void *object;
    struct booking *booking;
};

// Any address of ours stands for us: glibc keeps us mapped as long as something
// is registered.
static char own_address;

static void run(void *data)
{
    struct registration registration = *(struct registration *)data;
    memory_free(data);
    registration.destroy(registration.object);
    booking_end(registration.booking);
}

static e64_plugin *owner(uintptr_t dso, uintptr_t caller)
{
    e64_plugin *plugin = plugin_at(dso);
    return plugin ? plugin : plugin_at(caller);
}

int thread_exit_add(void (*destroy)(void *), void *object, void *dso)
{
    e64_plugin *plugin = owner((uintptr_t)dso,
                               (uintptr_t)__builtin_return_address(0));
    if (!plugin)
        return __cxa_thread_atexit_impl(destroy, object, dso);
    struct registration *made = memory_new(sizeof *made);
    struct booking *booking = booking_new(plugin, E64_PIN_THREAD_LOCAL,
                                    (const void *)destroy, (uintptr_t)object);
    // As glibc does: compilers do not look at what is answered.
    if (!made || !booking)
        abort();
    booking_thread(booking);
    *made = (struct registration){ destroy, object, booking };
    plugin_drop(plugin);
    return __cxa_thread_atexit_impl(run, made, &own_address);
}
