// Failures: made where the fault is, passed up untouched, handed out at the
// public boundary.
//
//     return fail(E64_BADFORMAT, "%s: no dynamic section", path);
//
// `fail` starts the thread's pending failure afresh; the setters below add to
// it what a program may want to know besides the message.

#ifndef E64_ERROR_H
#define E64_ERROR_H

#include "elf64load.h"

// Starts a failure of that kind and returns the kind.
e64_status fail(e64_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The same as E64_SYSTEM for a system call that has just set errno, or as
// E64_NOMEMORY when that is ENOMEM; the text of the errno is appended, and
// which limit has been reached.
e64_status fail_system(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

// The same for a thread that could not be created, by the error number of
// pthread_create.
e64_status fail_thread(int number);

// The same for memory that could not be had.
e64_status fail_memory(size_t size);

void error_wanter(const char *wanter);
void error_path(const char *path);
void error_errno(int number);
void error_symbol(const char *symbol, const char *version);
void error_scopes(const char *const *names, size_t count);
void error_near(const char *const *names, size_t count);
void error_versions(const char *const *names, size_t count);
void error_demangled(const char *demangled);
void error_advice(const char *advice);

// One symbol that is missing; the version is "" without one.
struct error_missing {
    const char *symbol, *version, *wanter;
};
void error_missing(const struct error_missing *missing, size_t count);

// What ran out, or what a system call refused, was for this file, if nothing
// was said of it.
void error_about(const char *path);

// What is wrong with another file than was asked for: that it is what `who`
// ("the search hook answered") has for that name, which `wanter` needs, or
// NULL.
void error_instead(const char *name, const char *who, const char *wanter);

// The pending failure, to look at.
const e64_error *error_pending(void);

// Saves the pending failure before work that may fail itself, and puts it back.
void error_save(e64_error *into);
void error_restore(const e64_error *from);

// The thread's last error is one that is put into words when the thread asks
// for it, and not before: `tell` is called then to make the failure. Gives so
// many bytes to be filled with what it is to be told of.
enum { ERROR_LATER = 1024 };
void *error_later(void (*tell)(const void *data));

// The public boundary: hands the pending failure to the caller's struct, or
// keeps it as the thread's last error. Returns `status`; does nothing else when
// that is E64_OK.
e64_status error_give(e64_status status, e64_error *into);

#endif
