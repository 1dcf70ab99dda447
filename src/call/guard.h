// Calls by registers, which exceptions do not leave.

#ifndef CALL_GUARD_H
#define CALL_GUARD_H

#include "call/shape.h"

struct _Unwind_Exception;

// What registers a call is given, by where in `values` they stand: six for
// integers, then eight for floating-point numbers (psABI 3.2.3).
enum { GUARD_INTEGERS = 6, GUARD_VECTORS = 8 };

// What came back: %rax and %xmm0.
struct guard_answer {
    uint64_t integer;
    double number;
};

// Calls `entry` with what `values` has for the registers, those for
// floating-point numbers only if `vectors`.
struct guard_answer guard_enter(void (*entry)(void),
                                const union call_value *values, bool vectors);

// The exception that ended the call, from when the personality has it until the
// call is over. Nothing else runs in this thread in between.
extern __thread struct _Unwind_Exception *guard_caught
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

// The same call. `result` takes what came in the register for its kind. Answers
// NULL when the function returns, or the exception of any language that would
// have left it, which is the caller's to end. All frames below have been
// unwound then, as by a catch. What unwinds without an exception
// (pthread_cancel, pthread_exit) and longjmp pass through.
static inline struct _Unwind_Exception *
guard_call(void (*entry)(void), enum call_kind kind, union call_value *result,
           const union call_value *values, bool vectors)
{
    struct guard_answer answer = guard_enter(entry, values, vectors);
    if (kind == CALL_FLOAT || kind == CALL_DOUBLE)
        result->number = answer.number;
    else
        result->bits = answer.integer;
    struct _Unwind_Exception *exception = guard_caught;
    if (exception)
        guard_caught = NULL;
    return exception;
}

// Calls `entry`. The values stand where the shape's arguments have their
// places; compilers expect that the caller has extended what is narrower than
// int. Answers NULL, or the exception that would have left the function.
static inline struct _Unwind_Exception *
call_invoke(const struct call_shape *shape, void (*entry)(void),
            union call_value *result, union call_value *values)
{
    if (shape->prepared)
        return call_on_stack(shape, entry, result, values);
    return guard_call(entry, shape->result, result, values, shape->vectors);
}

#endif
