// The functions of <dlfcn.h> and <execinfo.h> as plugins see them. Each has an
// entry, which their imports are bound to, and a C function, which the entry
// goes on to when its caller is a plugin. Other callers go on to glibc's as if
// they had called it.

#ifndef RUN_DL_H
#define RUN_DL_H

#include <dlfcn.h>

#include "run.h"

// -------------------------------------------------------- dl_x86_64.c ---

void dlopen_x86_64(void);
void dlmopen_x86_64(void);
void dlclose_x86_64(void);
void dlsym_x86_64(void);
void dlvsym_x86_64(void);
void dlerror_x86_64(void);
void dladdr_x86_64(void);
void dladdr1_x86_64(void);
void dlinfo_x86_64(void);
void backtrace_symbols_x86_64(void);
void backtrace_symbols_fd_x86_64(void);

// ----------------------------------------------------------- dlopen.c ---

// The plugin that a return address lies in, or NULL.
e64_plugin *dl_caller(uintptr_t address);

void *dl_open(const char *file, int mode, e64_plugin *caller);
void *dl_mopen(Lmid_t space, const char *file, int mode, e64_plugin *caller);
int dl_close(void *handle, e64_plugin *caller);

// ------------------------------------------------------------ dlsym.c ---

void *dl_sym(void *handle, const char *name, e64_plugin *caller);
void *dl_vsym(void *handle, const char *name, const char *version,
              e64_plugin *caller);

// ----------------------------------------------------------- dladdr.c ---

int dl_addr(const void *address, Dl_info *info, e64_plugin *caller);
int dl_addr1(const void *address, Dl_info *info, void **extra, int flags,
             e64_plugin *caller);

// ----------------------------------------------------------- dlinfo.c ---

int dl_info(void *handle, int request, void *answer, e64_plugin *caller);

// -------------------------------------------------------- backtrace.c ---

char **dl_backtrace_symbols(void *const *frames, int count,
                            e64_plugin *caller);
void dl_backtrace_symbols_fd(void *const *frames, int count, int fd,
                             e64_plugin *caller);

// ---------------------------------------------------------- dlerror.c ---

// What the calling thread's next dlerror answers: nothing, what glibc has to
// say, or a text.
void dl_succeeded(void);
void dl_passed(void);
void dl_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

char *dl_error(e64_plugin *caller);

#endif
