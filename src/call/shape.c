// Preparing and making calls.
//
// Most functions take their arguments in registers alone: up to six integers or
// pointers and up to eight floating-point numbers, whatever their order (psABI
// 3.2.3). A caller that loads all of these registers can call any such
// function, for what a function does not take it does not look at. This costs
// a fraction of what libffi needs to work out the same for each call.

#include "call/shape.h"

#include <ffi.h>
#include <string.h>

#include "call/guard.h"

struct prepared {
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

static bool takes(const struct call_shape *shape, size_t named,
                  const unsigned char *kinds, size_t count)
{
    if (shape->count != count)
        return false;
    for (size_t i = named; i < count; i++)
        if (shape->arguments[i].kind != kinds[i - named])
            return false;
    return true;
}

static struct call_shape *find(const struct call_type *function,
                               const unsigned char *kinds, size_t count)
{
    struct call_shape *shape = function->shapes;
    while (shape && !takes(shape, function->count, kinds, count))
        shape = shape->next;
    return shape;
}

// Gives each argument its place; false when registers are not enough. An x87
// number goes through memory and comes back in st(0).
static bool place(struct call_shape *shape)
{
    size_t integers = 0, vectors = 0;
    for (size_t i = 0; i < shape->count; i++) {
        struct call_argument *argument = &shape->arguments[i];
        if (argument->kind == CALL_LONGDOUBLE)
            return false;
        bool vector = argument->kind == CALL_FLOAT
                   || argument->kind == CALL_DOUBLE;
        size_t at = vector ? GUARD_INTEGERS + vectors++ : integers++;
        if (integers > GUARD_INTEGERS || vectors > GUARD_VECTORS)
            return false;
        argument->place = (unsigned char)at;
    }
    shape->vectors = vectors > 0;
    return shape->result != CALL_LONGDOUBLE;
}

// For libffi the values stand in the order of the arguments.
static bool prepare_stack(struct call_types *types, struct call_shape *shape,
                          const struct call_type *function)
{
    unsigned count = (unsigned)shape->count;
    struct prepared *made = call_types_take(
        types, sizeof *made + count * sizeof *made->arguments);
    if (!made)
        return false;
    for (size_t i = 0; i < count; i++) {
        made->arguments[i] = call_machine_type(shape->arguments[i].kind);
        shape->arguments[i].place = (unsigned char)i;
    }
    // Scalars only and a known ABI: there is nothing that libffi could refuse.
    ffi_type *result = call_machine_type(shape->result);
    if (function->variadic)
        ffi_prep_cif_var(&made->cif, FFI_DEFAULT_ABI, (unsigned)function->count,
                         count, result, made->arguments);
    else
        ffi_prep_cif(&made->cif, FFI_DEFAULT_ABI, count, result,
                     made->arguments);
    shape->prepared = made;
    return true;
}

static struct call_shape *prepare(struct call_types *types,
                                  const struct call_type *function,
                                  const unsigned char *kinds, size_t count)
{
    struct call_shape *shape = call_types_take(
        types, sizeof *shape + count * sizeof *shape->arguments);
    if (!shape)
        return NULL;
    size_t named = function->count;
    shape->count = count;
    shape->result = function->target->kind;
    for (size_t i = 0; i < named; i++) {
        const struct call_type *parameter = function->parameters[i];
        shape->arguments[i].kind = (unsigned char)parameter->kind;
        shape->arguments[i].text = parameter->kind == CALL_POINTER
                                && call_text(parameter->target);
    }
    for (size_t i = named; i < count; i++)
        shape->arguments[i].kind = kinds[i - named];
    if (!place(shape) && !prepare_stack(types, shape, function))
        return NULL;
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

void call_extend(enum call_kind kind, union call_value *value)
{
    switch (kind) {
    case CALL_BOOL:
    case CALL_UINT8:
        value->bits = (uint8_t)value->bits;
        break;
    case CALL_INT8:
        value->integer = (int8_t)value->bits;
        break;
    case CALL_UINT16:
        value->bits = (uint16_t)value->bits;
        break;
    case CALL_INT16:
        value->integer = (int16_t)value->bits;
        break;
    case CALL_UINT32:
        value->bits = (uint32_t)value->bits;
        break;
    case CALL_INT32:
        value->integer = (int32_t)value->bits;
        break;
    default:
        break;
    }
}

struct _Unwind_Exception *call_on_stack(const struct call_shape *shape,
                                        void (*entry)(void),
                                        union call_value *result,
                                        union call_value *values)
{
    const struct prepared *prepared = shape->prepared;
    void *arguments[shape->count + 1];
    for (size_t i = 0; i < shape->count; i++)
        arguments[i] = &values[i];
    union call_value nothing, registers[GUARD_INTEGERS] = {
        { .pointer = (void *)&prepared->cif }, { .pointer = (void *)entry },
        { .pointer = result }, { .pointer = arguments },
    };
    return guard_call(FFI_FN(ffi_call), CALL_VOID, &nothing, registers, false);
}
