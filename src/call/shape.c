// Preparing and making calls.

#include "call/shape.h"

#include <ffi.h>
#include <string.h>

#include "call/direct.h"

struct call_shape {
    struct call_shape *next; // for the same function type
    size_t count;            // of all arguments
    enum call_kind result;
    bool direct;             // libffi is not needed
    unsigned char *kinds;    // of all arguments
    ffi_cif cif;
    ffi_type *arguments[];
};

ffi_type *call_machine_type(enum call_kind kind)
{
    switch (kind) {
    case CALL_VOID:
        return &ffi_type_void;
    case CALL_BOOL:
    case CALL_UINT8:
        return &ffi_type_uint8;
    case CALL_INT8:
        return &ffi_type_sint8;
    case CALL_INT16:
        return &ffi_type_sint16;
    case CALL_UINT16:
        return &ffi_type_uint16;
    case CALL_INT32:
        return &ffi_type_sint32;
    case CALL_UINT32:
        return &ffi_type_uint32;
    case CALL_INT64:
        return &ffi_type_sint64;
    case CALL_UINT64:
        return &ffi_type_uint64;
    case CALL_FLOAT:
        return &ffi_type_float;
    case CALL_DOUBLE:
        return &ffi_type_double;
    case CALL_LONGDOUBLE:
        return &ffi_type_longdouble;
    default:
        return &ffi_type_pointer;
    }
}

static struct call_shape *find(const struct call_type *function,
                               const unsigned char *kinds, size_t count)
{
    size_t named = function->count;
    struct call_shape *shape = function->shapes;
    while (shape && (shape->count != count
                     || memcmp(shape->kinds + named, kinds, count - named)))
        shape = shape->next;
    return shape;
}

static struct call_shape *prepare(struct call_types *types,
                                  const struct call_type *function,
                                  const unsigned char *kinds, size_t count)
{
    struct call_shape *shape = call_types_take(
        types, sizeof *shape + count * (sizeof *shape->arguments + 1));
    if (!shape)
        return NULL;
    size_t named = function->count;
    shape->count = count;
    shape->result = function->target->kind;
    shape->kinds = (unsigned char *)(shape->arguments + count);
    for (size_t i = 0; i < named; i++)
        shape->kinds[i] = (unsigned char)function->parameters[i]->kind;
    memcpy(shape->kinds + named, kinds, count - named);
    shape->direct = direct_fits(shape->result, shape->kinds, count);
    for (size_t i = 0; i < count; i++)
        shape->arguments[i] = call_machine_type(shape->kinds[i]);
    // Scalars only and a known ABI: there is nothing that libffi could refuse.
    ffi_type *result = call_machine_type(shape->result);
    if (function->variadic)
        ffi_prep_cif_var(&shape->cif, FFI_DEFAULT_ABI, (unsigned)named,
                         (unsigned)count, result, shape->arguments);
    else
        ffi_prep_cif(&shape->cif, FFI_DEFAULT_ABI, (unsigned)count, result,
                     shape->arguments);
    return shape;
}

struct call_shape *call_shape_variadic(struct call_types *types,
                                       const struct call_type *function,
                                       const unsigned char *kinds,
                                       size_t count)
{
    struct call_shape *shape = find(function, kinds, count);
    if (shape)
        return shape;
    shape = prepare(types, function, kinds, count);
    if (!shape)
        return NULL;
    // The pool made the type, and only the pool's owner gets here.
    struct call_type *owner = (struct call_type *)function;
    shape->next = owner->shapes;
    owner->shapes = shape;
    return shape;
}

struct call_shape *call_shape(struct call_types *types,
                              const struct call_type *function)
{
    static const unsigned char none[1];
    return call_shape_variadic(types, function, none, function->count);
}

void call_invoke(const struct call_shape *shape, void (*entry)(void),
                 union call_value *result, union call_value *values)
{
    if (shape->direct) {
        direct_call(entry, shape->result, result, shape->kinds, values,
                    shape->count);
        return;
    }
    void *arguments[shape->count + 1];
    for (size_t i = 0; i < shape->count; i++)
        arguments[i] = &values[i];
    ffi_call((ffi_cif *)&shape->cif, entry, result, arguments);
}
