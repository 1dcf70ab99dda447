// Calls that exceptions do not leave.

#ifndef CALL_GUARD_H
#define CALL_GUARD_H

struct _Unwind_Exception;

// Calls function(data). Answers NULL when it returns, or the exception of any
// language that would have left it, which is the caller's to end. All frames
// below have been unwound then, as by a catch. What unwinds without an
// exception (pthread_cancel, pthread_exit) and longjmp pass through.
struct _Unwind_Exception *guard_call(void (*function)(void *data), void *data);

#endif
