// Functions that C can call: libffi's closures. What stands in place of "..."
// is read where a variadic function of C would find it (psABI 3.5.7): in what
// the named arguments have left of six integer and eight vector registers, then
// on the stack. To libffi it is as many more arguments, and a last one on the
// stack, which tells where that begins.

#include "call/closure.h"

#include <ffi.h>
#include <stdatomic.h>
#include <string.h>

#include "lock.h"
#include "memory.h"

enum { INTEGERS = 6, VECTORS = 8 };

struct call_rest {
    void *const *integers; // the addresses of what registers had
    void *const *vectors;
    size_t integer_count, vector_count;
    const char *stack;
};

struct call_closure {
    ffi_closure *closure;
    void *entry;
    call_work *work; // NULL: has been freed
    void *data;
    enum call_kind result;
    bool variadic;
    size_t named, integers, vectors; // of the named; of the rest, in registers
    struct call_closure *next;       // of those that were freed, or retired
    void *cell;
    ffi_cif cif;
    ffi_type *arguments[];
};

// Of those that were freed, so many wait before their memory is used again.
enum { WAITING = 256 };

static struct lock lock = LOCK_INITIALIZER;
static struct call_closure *oldest, *newest, *retired;
static size_t waiting;
static atomic_ulong late;

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

// libffi wants results that are narrower than a register extended to one.
static void put_result(enum call_kind kind, const union call_value *value,
                       void *into)
{
    ffi_arg wide;
    switch (kind) {
    case CALL_VOID:
        return;
    case CALL_LONGDOUBLE:
        memcpy(into, &value->extended, sizeof value->extended);
        return;
    case CALL_DOUBLE:
        memcpy(into, &value->number, sizeof value->number);
        return;
    case CALL_FLOAT:
        memcpy(into, &value->single, sizeof value->single);
        return;
    case CALL_BOOL:
    case CALL_UINT8:
        wide = (uint8_t)value->bits;
        break;
    case CALL_INT8:
        wide = (ffi_arg)(int8_t)value->bits;
        break;
    case CALL_UINT16:
        wide = (uint16_t)value->bits;
        break;
    case CALL_INT16:
        wide = (ffi_arg)(int16_t)value->bits;
        break;
    case CALL_UINT32:
        wide = (uint32_t)value->bits;
        break;
    case CALL_INT32:
        wide = (ffi_arg)(int32_t)value->bits;
        break;
    default:
        wide = value->bits;
    }
    memcpy(into, &wide, sizeof wide);
}

static void called(ffi_cif *cif, void *result, void **values, void *data)
{
    struct call_closure *closure = data;
    union call_value value;
    (void)cif;
    memset(&value, 0, sizeof value);
    if (!closure->work) {
        atomic_fetch_add(&late, 1);
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
    closure->named = count;
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
    if (closure->closure)
        ffi_closure_free(closure->closure);
    memory_free(closure);
}

struct call_closure *call_closure_new(const struct call_type *function,
                                      call_work *work, void *data)
{
    size_t room = function->count + INTEGERS + VECTORS + 1;
    struct call_closure *made = memory_new(sizeof *made
                                           + room * sizeof *made->arguments);
    if (!made)
        return NULL;
    made->work = work;
    made->data = data;
    made->result = function->target->kind;
    made->variadic = function->variadic;
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

unsigned long call_closure_late(void)
{
    return atomic_load(&late) ? atomic_exchange(&late, 0) : 0;
}
