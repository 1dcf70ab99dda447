// Calls of any signature. What has to be known of it is worked out once and
// kept with the function's type; libffi makes the calls that need the stack.

#ifndef CALL_SHAPE_H
#define CALL_SHAPE_H

#include "call/type.h"

struct _Unwind_Exception;

// Room for one argument or result of any scalar type. The low bytes are the
// value; what is above them in a result means nothing.
union call_value {
    uint64_t bits;
    int64_t integer;
    float single;
    double number;
    long double extended;
    void *pointer;
};

// An argument: what it is, and which of the values has it.
struct call_argument {
    unsigned char kind, place;
    bool text; // a pointer that a text may be given for
};

struct call_shape {
    struct call_shape *next; // for the same function type
    enum call_kind result;
    bool vectors;   // some arguments go in registers for floating-point numbers
    void *prepared; // what libffi needs; NULL: it is not needed
    size_t count;
    struct call_argument arguments[];
};

// libffi's name for a scalar type.
struct _ffi_type *call_machine_type(enum call_kind kind);

// How to call a function of that type with nothing in place of its "...".
// NULL without memory.
struct call_shape *call_shape(struct call_types *types,
                              const struct call_type *function);

// How to call it with `count` arguments in all, those in place of "..." being
// of the kinds given: CALL_INT32, CALL_INT64, CALL_DOUBLE or CALL_POINTER, as
// they are after promotion.
struct call_shape *call_shape_variadic(struct call_types *types,
                                       const struct call_type *function,
                                       const unsigned char *kinds,
                                       size_t count);

// Extends an integer from its kind to 64 bits.
void call_extend(enum call_kind kind, union call_value *value);

// Calls `entry` by libffi, where registers are not enough, which call_invoke
// tells (guard.h). Answers NULL, or the exception that would have left it.
struct _Unwind_Exception *call_on_stack(const struct call_shape *shape,
                                        void (*entry)(void),
                                        union call_value *result,
                                        union call_value *values);

#endif
