// Calls by registers, which exceptions do not leave.

#ifndef CALL_GUARD_H
#define CALL_GUARD_H

#include "call/shape.h"

struct _Unwind_Exception;

// What registers a call is given, by where in `values` they stand: six for
// integers, then eight for floating-point numbers (psABI 3.2.3).
enum { GUARD_INTEGERS = 6, GUARD_VECTORS = 8 };

// Calls `entry` with what `values` has for the registers, those for
// floating-point numbers only if `vectors`. `result` takes what came in the
// register for its kind. Answers NULL when the function returns, or the
// exception of any language that would have left it, which is the caller's to
// end. All frames below have been unwound then, as by a catch. What unwinds
// without an exception (pthread_cancel, pthread_exit) and longjmp pass through.
struct _Unwind_Exception *guard_call(void (*entry)(void), enum call_kind kind,
                                     union call_value *result,
                                     const union call_value *values,
                                     bool vectors);

#endif
