// Calls whose arguments all fit in registers, made without libffi.

#ifndef CALL_DIRECT_H
#define CALL_DIRECT_H

#include "call/shape.h"

// Whether `direct_call` can make a call of these kinds of arguments.
bool direct_fits(enum call_kind result, const unsigned char *kinds,
                 size_t count);

// Calls `entry` with `count` values of these kinds.
void direct_call(void (*entry)(void), enum call_kind kind,
                 union call_value *result, const unsigned char *kinds,
                 const union call_value *values, size_t count);

#endif
