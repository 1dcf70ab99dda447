// Code that is made at run time for C to call, and tells what it was called
// with.

#ifndef CALL_THUNK_H
#define CALL_THUNK_H

// Where arguments lie from the frame on, in bytes (psABI 3.2.3): those of six
// integer registers, of eight vector registers, and those on the stack.
enum {
    THUNK_INTEGERS = 0,
    THUNK_VECTORS = 6 * 8,
    THUNK_STACK = THUNK_VECTORS + 8 * 8 + 16 + 16,
};

union call_value;

// What thunks call: `result` is zero, and its first eight bytes are returned in
// %rax and in %xmm0.
void call_thunk_called(void *data, char *frame, union call_value *result);

// NULL when memory is short, or must not be executed once it was written to.
// Neither is for two threads at a time.
void *thunk_new(void *data);
void thunk_free(void *thunk);

#endif
