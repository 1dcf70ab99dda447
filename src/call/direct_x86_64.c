// Most functions take their arguments in registers alone: up to six integers or
// pointers and up to eight floating-point numbers, whatever their order (psABI
// 3.2.3). A caller that loads all of these registers can call any such
// function, for what a function does not take it does not look at. This costs
// a third of what libffi needs to work out the same for each call.

#include "call/direct.h"

enum { INTEGERS = 6, VECTORS = 8 };

// The "..." makes the compiler set %al to the number of vector registers, which
// variadic functions want and others ignore (psABI 3.5.7).
typedef uint64_t integer_function(uint64_t, uint64_t, uint64_t, uint64_t,
                                  uint64_t, uint64_t, ...);
typedef double vector_function(uint64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, ...);

static bool is_vector(enum call_kind kind)
{
    return kind == CALL_FLOAT || kind == CALL_DOUBLE;
}

bool direct_fits(enum call_kind result, const unsigned char *kinds,
                 size_t count)
{
    size_t integers = 0, vectors = 0;
    for (size_t i = 0; i < count; i++) {
        // An x87 number goes through memory and comes back in st(0).
        if (kinds[i] == CALL_LONGDOUBLE)
            return false;
        if (is_vector(kinds[i]))
            vectors++;
        else
            integers++;
    }
    return result != CALL_LONGDOUBLE && integers <= INTEGERS
        && vectors <= VECTORS;
}

// Compilers expect that the caller has extended what is narrower than int.
static uint64_t extend(enum call_kind kind, uint64_t bits)
{
    switch (kind) {
    case CALL_BOOL:
    case CALL_UINT8:
        return (uint8_t)bits;
    case CALL_INT8:
        return (uint64_t)(int8_t)bits;
    case CALL_UINT16:
        return (uint16_t)bits;
    case CALL_INT16:
        return (uint64_t)(int16_t)bits;
    case CALL_INT32:
    case CALL_UINT32:
        return (uint32_t)bits;
    default:
        return bits;
    }
}

void direct_call(void (*entry)(void), enum call_kind kind,
                 union call_value *result, const unsigned char *kinds,
                 const union call_value *values, size_t count)
{
    uint64_t i[INTEGERS] = { 0 };
    double v[VECTORS] = { 0 };
    size_t integers = 0, vectors = 0;
    for (size_t at = 0; at < count; at++)
        // A float is the low half of its register: the bits as they are.
        if (is_vector(kinds[at]))
            v[vectors++] = values[at].number;
        else
            i[integers++] = extend(kinds[at], values[at].bits);

    integer_function *integer = (integer_function *)entry;
    vector_function *vector = (vector_function *)entry;
    if (is_vector(kind))
        result->number = vector(i[0], i[1], i[2], i[3], i[4], i[5], v[0], v[1],
                                v[2], v[3], v[4], v[5], v[6], v[7]);
    else if (vectors)
        result->bits = integer(i[0], i[1], i[2], i[3], i[4], i[5], v[0], v[1],
                               v[2], v[3], v[4], v[5], v[6], v[7]);
    else
        result->bits = integer(i[0], i[1], i[2], i[3], i[4], i[5]);
}
