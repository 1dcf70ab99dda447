// A plugin whose constructor opens OTHER: by dlopen, or ABROAD in the other
// runtime. It closes it at once, or in its destructor if it KEEPS it. One that is
// LATE does all that in its destructor. FROM_HOST has glibc open something, too.

#include <dlfcn.h>
#include <stddef.h>

#include "program.h"

static long cell;
#ifdef KEEPS
static void *kept;
#endif

static void *open_other(void)
{
#ifdef ABROAD
    return stress_abroad(OTHER);
#else
    void *handle = dlopen(stress_path(OTHER), RTLD_NOW);
    stress_expect(ID, handle != NULL, handle ? "" : dlerror());
    return handle;
#endif
}

static void close_other(void *handle)
{
    if (!handle)
        return;
#ifdef ABROAD
    stress_close(OTHER, handle);
#else
    long (*value)(long) = (long (*)(long))dlsym(handle, "value");
    stress_expect(ID, value != NULL, "dlsym");
    if (value)
        stress_expect(ID, value(ID) == ID + OTHER, "what the other answers");
    stress_expect(ID, dlclose(handle) == 0, "dlclose");
#endif
}

BEGIN
{
    long number = stress_begun(ID);
#if defined KEEPS
    kept = open_other();
#elif !defined LATE
    close_other(open_other());
#endif
#ifdef FROM_HOST
    stress_host(FROM_HOST);
#endif
    cell = number;
}

END
{
    stress_expect(ID, cell > 0, "it is stopped without having been started");
#if defined KEEPS
    close_other(kept);
#elif defined LATE
    close_other(open_other());
#endif
    cell = -1;
    stress_ended(ID);
}

long value(long x)
{
    stress_expect(ID, cell >= 0, "data of one that has been stopped");
    return x + ID;
}
