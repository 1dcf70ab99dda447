// glibc's own functions for those that plugins get from us: for what is not
// ours, and for callers that are not plugins.

#ifndef HOST_FORWARD_H
#define HOST_FORWARD_H

// Where in the table each function is, for assembly.
#define FORWARD_DLOPEN 0
#define FORWARD_DLMOPEN 8
#define FORWARD_DLCLOSE 16
#define FORWARD_DLSYM 24
#define FORWARD_DLVSYM 32
#define FORWARD_DLERROR 40
#define FORWARD_DLADDR 48
#define FORWARD_DLADDR1 56
#define FORWARD_DLINFO 64
#define FORWARD_BACKTRACE_SYMBOLS 72
#define FORWARD_BACKTRACE_SYMBOLS_FD 80

#include <dlfcn.h>

#include "../lock.h"

// None of them may be called under a lock of ours. Their failures are left for
// the caller's dlerror.
struct host_forward {
    void *(*dlopen)(const char *file, int mode);
    void *(*dlmopen)(Lmid_t space, const char *file, int mode);
    int (*dlclose)(void *handle);
    void *(*dlsym)(void *handle, const char *name);
    void *(*dlvsym)(void *handle, const char *name, const char *version);
    char *(*dlerror)(void);
    int (*dladdr)(const void *address, Dl_info *info);
    int (*dladdr1)(const void *address, Dl_info *info, void **extra,
                   int flags);
    int (*dlinfo)(void *handle, int request, void *answer);
    char **(*backtrace_symbols)(void *const *frames, int count);
    void (*backtrace_symbols_fd)(void *const *frames, int count, int fd);
};

extern const struct host_forward host_forward;

// For C: the same, with that checked.
static inline const struct host_forward *host_glibc(void)
{
    lock_check_none();
    return &host_forward;
}

#endif
