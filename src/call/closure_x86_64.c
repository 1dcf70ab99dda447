// Functions that C can call: thunks, which know where each argument is, and
// libffi's closures for the rest. What stands in place of "..."
// is read where a variadic function of C would find it (psABI 3.5.7): in what
// the named arguments have left of six integer and eight vector registers, then
// on the stack. To libffi it is as many more arguments, and a last one on the
// stack, which tells where that begins.

#include "call/closure.h"

#include <ffi.h>
#include <stdatomic.h>
#include <string.h>

#include "call/thunk.h"
#include "forks.h"
#include "lock.h"
#include "memory.h"

enum { INTEGERS = 6, VECTORS = 8 };

// So many arguments can a thunk tell.
enum { THUNK_MOST = 12 };

struct call_rest {
    void *const *integers; // the addresses of what registers had
    void *const *vectors;
    size_t integer_count, vector_count;
    const char *stack;
};

struct call_closure {
    void *thunk; // or NULL, and libffi's
    ffi_closure *closure;
    void *entry;
    call_work *work; // NULL: has been freed
    void *data;
    enum call_kind result;
    bool variadic;
    size_t named, integers, vectors; // of the named; of the rest, in registers
    struct call_closure *next;       // of those that were freed, or retired
    void *cell;
    uint8_t places[THUNK_MOST]; // of the arguments, from a thunk's frame on
    ffi_cif cif;
    ffi_type *arguments[];
};

// Of those that were freed, so many wait before their memory is used again.
enum { WAITING = 256 };

static struct lock lock = LOCK_INITIALIZER;
static struct call_closure *oldest, *newest, *retired;
static size_t waiting;

atomic_ulong call_closure_late;

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

void call_closure_came_late(void)
{
    atomic_fetch_add(&call_closure_late, 1);
}

void call_rest_next(struct call_rest *rest, enum call_kind kind,
                    union call_value *into)
{
    const char *from = rest->stack;
    size_t size = sizeof into->bits;
    if (kind == CALL_LONGDOUBLE) {
        from = (const char *)(((uintptr_t)from + 15) & ~(uintptr_t)15);
        size = sizeof into->extended;
    } else if (kind == CALL_DOUBLE && rest->vector_count) {
        rest->vector_count--;
        memcpy(into, *rest->vectors++, size);
        return;
    } else if (kind != CALL_DOUBLE && rest->integer_count) {
        rest->integer_count--;
        memcpy(into, *rest->integers++, size);
        return;
    }
    memcpy(into, from, size);
    rest->stack = from + size;
}

// It has room for what the kind takes, and for a register: libffi wants results
// that are narrower extended to one, and so may who calls.
static void put_result(enum call_kind kind, union call_value *value, void *into)
{
    call_extend(kind, value);
    if (kind == CALL_LONGDOUBLE)
        memcpy(into, &value->extended, sizeof value->extended);
    else if (kind == CALL_FLOAT)
        memcpy(into, &value->single, sizeof value->single);
    else if (kind != CALL_VOID)
        memcpy(into, &value->bits, sizeof value->bits);
}

static void called(ffi_cif *cif, void *result, void **values, void *data)
{
    struct call_closure *closure = data;
    union call_value value;
    (void)cif;
    memset(&value, 0, sizeof value);
    if (!closure->work) {
        call_closure_came_late();
    } else if (closure->variadic) {
        void *const *integers = values + closure->named;
        void *const *vectors = integers + closure->integers;
        struct call_rest rest = { integers, vectors, closure->integers,
                                  closure->vectors,
                                  vectors[closure->vectors] };
        closure->work(closure->data, values, &rest, &value);
    } else {
        closure->work(closure->data, values, NULL, &value);
    }
    put_result(closure->result, &value, result);
}

void call_thunk_called(void *data, char *frame, union call_value *result)
{
    const struct call_closure *closure = data;
    void *values[THUNK_MOST];
    for (size_t i = 0; i < closure->named; i++)
        values[i] = frame + closure->places[i];
    if (closure->work)
        closure->work(closure->data, values, NULL, result);
    else
        call_closure_came_late();
    call_extend(closure->result, result);
}

// Where the arguments come (psABI 3.2.3). A long double comes and goes in ways
// of its own, and "..." needs more than there is in a frame.
static bool find_places(const struct call_type *function,
                        struct call_closure *closure)
{
    size_t integers = 0, vectors = 0, words = 0;
    if (function->variadic || function->count > THUNK_MOST
        || function->target->kind == CALL_LONGDOUBLE)
        return false;
    for (size_t i = 0; i < function->count; i++) {
        enum call_kind kind = function->parameters[i]->kind;
        bool vector = kind == CALL_FLOAT || kind == CALL_DOUBLE;
        size_t place;
        if (kind == CALL_LONGDOUBLE)
            return false;
        if (vector && vectors < VECTORS)
            place = THUNK_VECTORS + 8 * vectors++;
        else if (!vector && integers < INTEGERS)
            place = THUNK_INTEGERS + 8 * integers++;
        else
            place = THUNK_STACK + 8 * words++;
        closure->places[i] = (uint8_t)place;
    }
    return true;
}

static void make_thunk(struct call_closure *closure)
{
    lock_take(&lock);
    closure->entry = closure->thunk = thunk_new(closure);
    lock_give(&lock);
}

// The registers that the named arguments leave.
static void count_rest(const struct call_type *function,
                       struct call_closure *closure)
{
    size_t integers = 0, vectors = 0;
    for (size_t i = 0; i < function->count; i++) {
        enum call_kind kind = function->parameters[i]->kind;
        if (kind == CALL_FLOAT || kind == CALL_DOUBLE)
            vectors++;
        else if (kind != CALL_LONGDOUBLE)
            integers++;
    }
    closure->integers = integers < INTEGERS ? INTEGERS - integers : 0;
    closure->vectors = vectors < VECTORS ? VECTORS - vectors : 0;
}

static size_t list_arguments(const struct call_type *function,
                             struct call_closure *closure)
{
    size_t count = 0;
    for (; count < function->count; count++)
        closure->arguments[count]
            = call_machine_type(function->parameters[count]->kind);
    if (!function->variadic)
        return count;
    count_rest(function, closure);
    for (size_t i = 0; i < closure->integers; i++)
        closure->arguments[count++] = &ffi_type_uint64;
    for (size_t i = 0; i < closure->vectors; i++)
        closure->arguments[count++] = &ffi_type_double;
    closure->arguments[count++] = &ffi_type_uint64;
    return count;
}

static void destroy(struct call_closure *closure)
{
    if (closure->thunk) {
        lock_take(&lock);
        thunk_free(closure->thunk);
        lock_give(&lock);
    } else if (closure->closure) {
        ffi_closure_free(closure->closure);
    }
    memory_free(closure);
}

struct call_closure *call_closure_new(const struct call_type *function,
                                      call_work *work, void *data)
{
    static const struct fork_part part = { before_fork, after_fork };
    forks_watch(FORK_CLOSURES, &part);
    size_t room = function->count + INTEGERS + VECTORS + 1;
    struct call_closure *made = memory_new(sizeof *made
                                           + room * sizeof *made->arguments);
    if (!made)
        return NULL;
    made->work = work;
    made->data = data;
    made->result = function->target->kind;
    made->variadic = function->variadic;
    made->named = function->count;
    if (find_places(function, made))
        make_thunk(made);
    if (made->thunk)
        return made;
    size_t count = list_arguments(function, made);
    made->closure = ffi_closure_alloc(sizeof *made->closure, &made->entry);
    if (!made->closure
        || ffi_prep_cif(&made->cif, FFI_DEFAULT_ABI, (unsigned)count,
                        call_machine_type(made->result), made->arguments)
               != FFI_OK
        || ffi_prep_closure_loc(made->closure, &made->cif, called, made,
                                made->entry) != FFI_OK) {
        destroy(made);
        return NULL;
    }
    return made;
}

void *call_closure_entry(const struct call_closure *closure)
{
    return closure->entry;
}

void call_closure_free(struct call_closure *closure)
{
    struct call_closure *gone = NULL;
    if (!closure)
        return;
    closure->work = NULL;
    lock_take(&lock);
    if (newest)
        newest->next = closure;
    else
        oldest = closure;
    newest = closure;
    if (++waiting > WAITING) {
        gone = oldest;
        oldest = gone->next;
        waiting--;
    }
    lock_give(&lock);
    if (gone)
        destroy(gone);
}

void call_closure_retire(struct call_closure *closure)
{
    if (!closure)
        return;
    closure->work = NULL;
    lock_take(&lock);
    closure->next = retired;
    retired = closure;
    lock_give(&lock);
}

void **call_closure_cell(struct call_closure *closure)
{
    return &closure->cell;
}
