// Calls of any signature. What has to be known of it is worked out once and
// kept with the function's type; libffi makes the calls that need the stack.

#ifndef CALL_SHAPE_H
#define CALL_SHAPE_H

#include "call/type.h"

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

struct call_shape;

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

// Calls `entry` with as many values as the shape has arguments.
void call_invoke(const struct call_shape *shape, void (*entry)(void),
                 union call_value *result, union call_value *values);

#endif
