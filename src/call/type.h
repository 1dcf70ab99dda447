// C types as values. A pool makes each distinct type once, so that two types
// of one pool that are written alike are one pointer, and frees them all when
// it is freed itself. A pool belongs to one Lua state (or whoever made it) and
// knows no locks.

#ifndef CALL_TYPE_H
#define CALL_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a value looks like in memory and in registers. C's many integer types
// are eight kinds; what they are called is the type's name.
enum call_kind {
    CALL_VOID = 0,
    CALL_BOOL,
    CALL_INT8,
    CALL_UINT8,
    CALL_INT16,
    CALL_UINT16,
    CALL_INT32,
    CALL_UINT32,
    CALL_INT64,
    CALL_UINT64,
    CALL_FLOAT,
    CALL_DOUBLE,
    CALL_LONGDOUBLE,
    CALL_POINTER,
    CALL_ARRAY,
    CALL_FUNCTION,
    CALL_OPAQUE, // a struct or union whose contents are not known
};

// The count of an array that does not say it, and of what a pointer points to.
#define CALL_UNBOUNDED SIZE_MAX

// What is beyond this is refused: parameters (C11 5.2.4.1 promises as many) and
// types made from types, which what looks at them does by recursion.
#define CALL_MOST_ARGUMENTS 127
#define CALL_MOST_DEPTH 100

struct call_enumerator {
    const char *name;
    int64_t value;
};

struct call_shape;

struct call_type {
    enum call_kind kind;
    bool constant; // what lies there must not be written
    bool variadic; // a function that ends in "..."
    size_t size;   // bytes; 0 when not known
    size_t align;
    size_t count; // of an array's elements, or of a function's parameters
    const struct call_type *target; // pointee, element or result
    const struct call_type **parameters;
    const char *name; // of scalars, opaque types, enums and typedefs
    const char *tag;  // of opaque types and enums: what they are told apart by
    const struct call_enumerator *enumerators; // NULL but for enums
    size_t enumerator_count;
    unsigned depth; // how many types it is made of, one from the other

    // How C writes it. Made by the pool, as all below.
    const char *spelling;
    struct call_shape *shapes; // of functions: what shape.c has prepared
    struct call_type *next;    // in the pool
    uint64_t hash;
};

struct call_types;

// NULL without memory, as everything below that returns a pointer.
struct call_types *call_types_new(void);
void call_types_free(struct call_types *types);

// Zeroed memory that lives as long as the pool.
void *call_types_take(struct call_types *types, size_t size);

// A type of C's own, or of CALL_VOID, by the name that it is to have.
const struct call_type *call_scalar(struct call_types *types,
                                    enum call_kind kind, const char *name);
const struct call_type *call_pointer(struct call_types *types,
                                     const struct call_type *target);
const struct call_type *call_array(struct call_types *types,
                                   const struct call_type *element,
                                   size_t count);
const struct call_type *call_function(struct call_types *types,
                                      const struct call_type *result,
                                      const struct call_type **parameters,
                                      size_t count, bool variadic);
// "struct sqlite3": the same tag is the same type.
const struct call_type *call_opaque(struct call_types *types, const char *tag);
// An integer of that kind whose values have names. The tag, "enum color", may
// be NULL.
const struct call_type *call_enum(struct call_types *types, const char *tag,
                                  enum call_kind kind,
                                  const struct call_enumerator *enumerators,
                                  size_t count);
// The same type, not to be written. Of an array: its elements (C11 6.7.3p9).
const struct call_type *call_const(struct call_types *types,
                                   const struct call_type *type);
// The same type under a typedef's name.
const struct call_type *call_alias(struct call_types *types,
                                   const struct call_type *type,
                                   const char *name);

// Whether the two are one type to a caller: names and const apart, and
// integers of one size alike.
bool call_same(const struct call_type *one, const struct call_type *other);

// Whether a pointer to `from` may be given for a pointer to `to`: C's rule
// (C11 6.5.16.1), but that void * goes with function pointers too.
bool call_points(const struct call_type *to, const struct call_type *from);

// Whether a text may be given for a pointer to it: const char and its like.
bool call_text(const struct call_type *target);

bool call_integer(const struct call_type *type);

// Writes "int (*NAME)(void)" into the buffer as snprintf would, NAME being
// optional. Returns the length that there is room for or not.
size_t call_spell(const struct call_type *type, const char *name,
                  char *buffer, size_t size);

#endif
