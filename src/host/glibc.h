// glibc's loader, for host/*.c, under no lock of ours. What plugins ask of it
// goes by forward.h.

#ifndef HOST_GLIBC_H
#define HOST_GLIBC_H

#include <dlfcn.h>

#include "../lock.h"

static inline void *glibc_dlopen(const char *file, int mode)
{
    lock_check_none();
    return dlopen(file, mode);
}

static inline int glibc_dlclose(void *handle)
{
    lock_check_none();
    return dlclose(handle);
}

static inline void *glibc_dlsym(void *handle, const char *name)
{
    lock_check_none();
    return dlsym(handle, name);
}

static inline int glibc_dladdr1(const void *address, Dl_info *info,
                                void **extra, int flags)
{
    lock_check_none();
    return dladdr1(address, info, extra, flags);
}

// Of this thread's last failure; to be called after each, so that what failed
// here is not seen by others.
static inline char *glibc_dlerror(void)
{
    lock_check_none();
    return dlerror();
}

#endif
