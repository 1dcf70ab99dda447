// What an exception is, and how it ends.

#ifndef CALL_EXCEPTION_H
#define CALL_EXCEPTION_H

#include <stddef.h>

struct _Unwind_Exception;

// The function of that name in the object that `owner` lies in, or NULL.
typedef void *exception_finder(const void *owner, const char *name);

// Writes what was thrown ("C++ exception std::runtime_error: no more") and ends
// the exception, as a catch does that has it: it is destroyed and freed, unless
// a std::exception_ptr keeps it.
void exception_end(struct _Unwind_Exception *exception, exception_finder *find,
                   char *text, size_t size);

#endif
