// Functions of any signature that C can call, made at run time.

#ifndef CALL_CLOSURE_H
#define CALL_CLOSURE_H

#include <stdatomic.h>

#include "call/shape.h"

struct call_closure;

// What a caller gave in place of "...". It is there until the function returns.
struct call_rest;

// Stores the next of them, which is of that kind. Nobody knows whether there is
// one: C leaves that to what the function was told besides.
void call_rest_next(struct call_rest *rest, enum call_kind kind,
                    union call_value *into);

// Does the work: `values` point to the named arguments; `rest` is NULL without
// "..."; `result` is zero and takes what the function answers.
typedef void call_work(void *data, void *const *values, struct call_rest *rest,
                       union call_value *result);

// A function of that type, which may go away sooner than the closure. NULL
// without memory.
struct call_closure *call_closure_new(const struct call_type *function,
                                      call_work *work, void *data);

// Where it is called.
void *call_closure_entry(const struct call_closure *closure);

// From now on calls answer zero, for as long as the memory is not needed for
// the closures that are freed after it.
void call_closure_free(struct call_closure *closure);

// The same where C may call it for good: calls answer zero, the memory stays.
void call_closure_retire(struct call_closure *closure);

// A place for its owner to use, which is there as long as the memory.
void **call_closure_cell(struct call_closure *closure);

// For who finds in the work that it cannot be done any more.
void call_closure_came_late(void);

// How many calls came too late, in the process. Who tells of them sets it to
// zero.
extern atomic_ulong call_closure_late __attribute__((visibility("hidden")));

#endif
