// The pool of C types: each made once, found again by all that tells it apart.

#include "call/type.h"

#include <string.h>

#include "memory.h"

enum { BUCKETS = 256, CHUNK = 8192 };

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

struct call_types {
    struct chunk *chunks;
    struct call_type *buckets[BUCKETS];
};

struct call_types *call_types_new(void)
{
    return memory_new(sizeof(struct call_types));
}

void call_types_free(struct call_types *types)
{
    if (!types)
        return;
    while (types->chunks) {
        struct chunk *next = types->chunks->next;
        memory_free(types->chunks);
        types->chunks = next;
    }
    memory_free(types);
}

void *call_types_take(struct call_types *types, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct chunk *chunk = types->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk = memory_new(sizeof *chunk + room);
        if (!chunk)
            return NULL;
        chunk->size = room;
        chunk->next = types->chunks;
        types->chunks = chunk;
    }
    void *block = chunk->bytes + chunk->used;
    chunk->used += size;
    return block;
}

// ---------------------------------------------------------------------------
// FNV-1a over what tells a type apart.

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return text ? mix(hash, text, strlen(text) + 1) : hash * 3;
}

static uint64_t hash_of(const struct call_type *type)
{
    uint64_t hash = 0xcbf29ce484222325;
    unsigned char flags[] = {
        (unsigned char)type->kind, type->constant, type->variadic
    };
    hash = mix(hash, flags, sizeof flags);
    hash = mix(hash, &type->count, sizeof type->count);
    hash = mix(hash, &type->target, sizeof type->target);
    hash = mix_text(hash, type->name);
    hash = mix_text(hash, type->tag);
    if (type->parameters)
        hash = mix(hash, type->parameters,
                   type->count * sizeof *type->parameters);
    for (size_t i = 0; i < type->enumerator_count; i++) {
        hash = mix_text(hash, type->enumerators[i].name);
        hash = mix(hash, &type->enumerators[i].value, sizeof(int64_t));
    }
    return hash;
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

static bool equal(const struct call_type *one, const struct call_type *other)
{
    if (one->hash != other->hash || one->kind != other->kind
        || one->constant != other->constant
        || one->variadic != other->variadic || one->count != other->count
        || one->target != other->target
        || one->enumerator_count != other->enumerator_count
        || !same_text(one->name, other->name)
        || !same_text(one->tag, other->tag))
        return false;
    for (size_t i = 0; one->parameters && i < one->count; i++)
        if (one->parameters[i] != other->parameters[i])
            return false;
    for (size_t i = 0; i < one->enumerator_count; i++)
        if (one->enumerators[i].value != other->enumerators[i].value
            || strcmp(one->enumerators[i].name, other->enumerators[i].name))
            return false;
    return true;
}

// ---------------------------------------------------------------------------
// Copies into the pool. Each answers false without memory; what was taken
// until then stays unused in the pool.

static bool keep_text(struct call_types *types, const char **text)
{
    if (!*text)
        return true;
    size_t size = strlen(*text) + 1;
    char *copy = call_types_take(types, size);
    if (copy)
        *text = memcpy(copy, *text, size);
    return copy;
}

static bool keep_parameters(struct call_types *types, struct call_type *type)
{
    if (!type->parameters)
        return true;
    size_t size = type->count * sizeof *type->parameters;
    const struct call_type **copy = call_types_take(types, size);
    if (copy)
        type->parameters = memcpy(copy, type->parameters, size);
    return copy;
}

static bool keep_enumerators(struct call_types *types, struct call_type *type)
{
    if (!type->enumerators)
        return true;
    size_t size = type->enumerator_count * sizeof *type->enumerators;
    struct call_enumerator *copy = call_types_take(types, size);
    if (!copy)
        return false;
    memcpy(copy, type->enumerators, size);
    for (size_t i = 0; i < type->enumerator_count; i++)
        if (!keep_text(types, &copy[i].name))
            return false;
    type->enumerators = copy;
    return true;
}

static bool keep_spelling(struct call_types *types, struct call_type *type)
{
    size_t size = call_spell(type, NULL, NULL, 0) + 1;
    char *text = call_types_take(types, size);
    if (text)
        call_spell(type, NULL, text, size);
    type->spelling = text;
    return text;
}

static unsigned depth_of(const struct call_type *type)
{
    unsigned deepest = type->target ? type->target->depth : 0;
    for (size_t i = 0; type->parameters && i < type->count; i++)
        if (type->parameters[i]->depth > deepest)
            deepest = type->parameters[i]->depth;
    return deepest + 1;
}

// The pool's own type that is like `wanted`.
static const struct call_type *intern(struct call_types *types,
                                      struct call_type wanted)
{
    wanted.hash = hash_of(&wanted);
    wanted.depth = depth_of(&wanted);
    struct call_type **bucket = &types->buckets[wanted.hash % BUCKETS];
    for (struct call_type *type = *bucket; type; type = type->next)
        if (equal(type, &wanted))
            return type;
    struct call_type *type = call_types_take(types, sizeof *type);
    if (!type)
        return NULL;
    *type = wanted;
    type->shapes = NULL;
    if (!keep_text(types, &type->name) || !keep_text(types, &type->tag)
        || !keep_parameters(types, type) || !keep_enumerators(types, type)
        || !keep_spelling(types, type))
        return NULL;
    type->next = *bucket;
    *bucket = type;
    return type;
}

// ---------------------------------------------------------------------------

static size_t size_of(enum call_kind kind)
{
    switch (kind) {
    case CALL_BOOL:
    case CALL_INT8:
    case CALL_UINT8:
        return 1;
    case CALL_INT16:
    case CALL_UINT16:
        return 2;
    case CALL_INT32:
    case CALL_UINT32:
    case CALL_FLOAT:
        return 4;
    case CALL_INT64:
    case CALL_UINT64:
    case CALL_DOUBLE:
    case CALL_POINTER:
        return 8;
    case CALL_LONGDOUBLE:
        return 16;
    default:
        return 0;
    }
}

// A scalar's alignment is its size (psABI, figure 3.1).
static struct call_type plain(enum call_kind kind)
{
    struct call_type type = { .kind = kind };
    type.size = type.align = size_of(kind);
    return type;
}

const struct call_type *call_scalar(struct call_types *types,
                                    enum call_kind kind, const char *name)
{
    struct call_type type = plain(kind);
    type.name = name;
    return intern(types, type);
}

const struct call_type *call_pointer(struct call_types *types,
                                     const struct call_type *target)
{
    struct call_type type = plain(CALL_POINTER);
    type.target = target;
    return intern(types, type);
}

const struct call_type *call_array(struct call_types *types,
                                   const struct call_type *element,
                                   size_t count)
{
    struct call_type type = plain(CALL_ARRAY);
    type.target = element;
    type.count = count;
    type.constant = element->constant;
    type.align = element->align;
    type.size = count == CALL_UNBOUNDED ? 0 : count * element->size;
    return intern(types, type);
}

const struct call_type *call_function(struct call_types *types,
                                      const struct call_type *result,
                                      const struct call_type **parameters,
                                      size_t count, bool variadic)
{
    struct call_type type = plain(CALL_FUNCTION);
    type.target = result;
    type.parameters = count ? parameters : NULL;
    type.count = count;
    type.variadic = variadic;
    return intern(types, type);
}

const struct call_type *call_opaque(struct call_types *types, const char *tag)
{
    struct call_type type = plain(CALL_OPAQUE);
    type.name = type.tag = tag;
    return intern(types, type);
}

const struct call_type *call_enum(struct call_types *types, const char *tag,
                                  enum call_kind kind,
                                  const struct call_enumerator *enumerators,
                                  size_t count)
{
    struct call_type type = plain(kind);
    type.name = tag ? tag : "enum";
    type.tag = tag;
    type.enumerators = enumerators;
    type.enumerator_count = count;
    return intern(types, type);
}

const struct call_type *call_const(struct call_types *types,
                                   const struct call_type *type)
{
    struct call_type copy = *type;
    if (type->kind == CALL_ARRAY) {
        copy.target = call_const(types, type->target);
        if (!copy.target)
            return NULL;
    }
    // There are no const functions (C11 6.7.3p9).
    copy.constant = type->kind != CALL_FUNCTION;
    return intern(types, copy);
}

const struct call_type *call_alias(struct call_types *types,
                                   const struct call_type *type,
                                   const char *name)
{
    struct call_type copy = *type;
    copy.name = name;
    return intern(types, copy);
}

// ---------------------------------------------------------------------------

bool call_integer(const struct call_type *type)
{
    return type->kind >= CALL_INT8 && type->kind <= CALL_UINT64;
}

static bool same_parameters(const struct call_type *one,
                            const struct call_type *other)
{
    if (one->count != other->count || one->variadic != other->variadic)
        return false;
    for (size_t i = 0; i < one->count; i++)
        if (!call_same(one->parameters[i], other->parameters[i]))
            return false;
    return true;
}

bool call_same(const struct call_type *one, const struct call_type *other)
{
    if (one == other)
        return true;
    // char and unsigned char, long and long long.
    if (call_integer(one) && call_integer(other))
        return one->size == other->size;
    if (one->kind != other->kind)
        return false;
    switch (one->kind) {
    case CALL_POINTER:
        return call_same(one->target, other->target);
    case CALL_ARRAY:
        return (one->count == other->count || one->count == CALL_UNBOUNDED
                || other->count == CALL_UNBOUNDED)
            && call_same(one->target, other->target);
    case CALL_FUNCTION:
        return call_same(one->target, other->target)
            && same_parameters(one, other);
    case CALL_OPAQUE:
        return strcmp(one->tag, other->tag) == 0;
    default:
        return true;
    }
}

bool call_points(const struct call_type *to, const struct call_type *from)
{
    if (to == from)
        return true;
    if (from->constant && !to->constant)
        return false;
    return to->kind == CALL_VOID || from->kind == CALL_VOID
        || call_same(to, from);
}

bool call_text(const struct call_type *target)
{
    return target->constant && !target->enumerators
        && (target->kind == CALL_INT8 || target->kind == CALL_UINT8);
}
