// References: places in C's memory with a type. A function can be called, an
// array and a pointer are indexed from 0 as in C, a variable is its element 0.

#include <lauxlib.h>
#include <string.h>

#include "lua/calling.h"
#include "lua/typed.h"

// Keys in the registry are the addresses of these.
static const char meta_key = 'm', kept_key = 'k';

const char reference_mark = 'r';

static const char *const metaname = "elf64load.pointer";

struct reference *reference_check(lua_State *L, int index)
{
    struct reference *reference = reference_test(L, index);
    if (!reference)
        luaL_typeerror(L, index, metaname);
    return reference;
}

// ------------------------------------------------------------------- making

static void prepare(lua_State *L, struct reference *function)
{
    function->main = calling_main(L);
    if (function->type->variadic)
        return;
    function->shape = call_shape(ctype_pool(L), function->type);
    if (!function->shape)
        luaL_error(L, "not enough memory for a C function");
}

static struct reference *push(lua_State *L, enum reference_origin origin,
                              void *address, const struct call_type *type,
                              size_t count)
{
    int values = origin == REFERENCE_FOREIGN ? 0 : 1;
    struct reference *reference =
        lua_newuserdatauv(L, sizeof *reference, values);
    *reference = (struct reference) {
        .mark = &reference_mark, .address = address, .type = type,
        .count = count, .origin = origin
    };
    // Functions that C hands out as pointers are called like others.
    if (type->kind == CALL_FUNCTION)
        prepare(L, reference);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setmetatable(L, -2);
    return reference;
}

void reference_push_pointer(lua_State *L, void *address,
                            const struct call_type *type)
{
    if (address)
        push(L, REFERENCE_FOREIGN, address, type, CALL_UNBOUNDED);
    else
        lua_pushnil(L);
}

void reference_push_callback(lua_State *L, void *address,
                             const struct call_type *type)
{
    push(L, REFERENCE_CALLBACK, address, type, CALL_UNBOUNDED);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_remove(L, -2);
}

struct reference *reference_push_part(lua_State *L, int owner, void *address,
                                      const struct call_type *type,
                                      size_t count)
{
    const struct reference *whole = reference_check(L, owner);
    enum reference_origin origin = whole->origin;
    if (origin == REFERENCE_MEMORY)
        lua_pushvalue(L, owner);
    else if (origin != REFERENCE_FOREIGN)
        lua_getiuservalue(L, owner, 1);
    if (origin == REFERENCE_MEMORY)
        origin = REFERENCE_PART;
    struct reference *part = push(L, origin, address, type, count);
    part->symbol = whole->symbol;
    if (origin != REFERENCE_FOREIGN) {
        lua_insert(L, -2);
        lua_setiuservalue(L, -2, 1);
    }
    return part;
}

struct reference *reference_push_memory(lua_State *L,
                                        const struct call_type *type,
                                        size_t count)
{
    size_t bytes = count * type->size, room = bytes + 16;
    struct reference *reference =
        lua_newuserdatauv(L, sizeof *reference + room, 1);
    // Aligned as malloc's, for code that was compiled to expect that.
    uintptr_t start = ((uintptr_t)(reference + 1) + 15) & ~(uintptr_t)15;
    *reference = (struct reference) {
        .mark = &reference_mark, .address = memset((void *)start, 0, bytes),
        .type = type, .count = count, .origin = REFERENCE_MEMORY
    };
    lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setmetatable(L, -2);
    return reference;
}

static int unlike(lua_State *L, const struct lua_symbol *symbol,
                  const struct call_type *type)
{
    const e64_symbol *is = &symbol->symbol;
    const char *file = is->file ? is->file : "its file";
    lua_pushnil(L);
    if (type->kind == CALL_FUNCTION)
        lua_pushfstring(L, "'%s' is declared as a function, but a variable "
                        "in %s", symbol->symbol.name, file);
    else if (is->kind == E64_KIND_FUNCTION || is->kind == E64_KIND_IFUNC)
        lua_pushfstring(L, "'%s' is declared as %s, but a function in %s",
                        symbol->symbol.name, type->spelling, file);
    else
        lua_pushfstring(L, "'%s' is declared as %s of %d bytes, but has %d "
                        "bytes in %s", symbol->symbol.name, type->spelling,
                        (int)type->size, (int)is->size, file);
    return 2;
}

// Whether the file says that something else is there.
static bool fits(const e64_symbol *symbol, const struct call_type *type)
{
    switch (symbol->kind) {
    case E64_KIND_FUNCTION:
    case E64_KIND_IFUNC:
        return type->kind == CALL_FUNCTION;
    case E64_KIND_OBJECT:
    case E64_KIND_TLS:
        return type->kind != CALL_FUNCTION
            && (!symbol->size || type->size <= symbol->size);
    default:
        return true;
    }
}

int reference_push_symbol(lua_State *L, int index,
                          const struct call_type *type)
{
    const struct lua_symbol *symbol = symbol_check(L, index);
    symbol_alive(L, symbol);
    if (!fits(&symbol->symbol, type))
        return unlike(L, symbol, type);
    if (type->kind == CALL_VOID) {
        lua_pushnil(L);
        lua_pushfstring(L, "'%s' cannot be void", symbol->symbol.name);
        return 2;
    }
    const struct call_type *element = type;
    size_t count = 1;
    if (type->kind == CALL_ARRAY) {
        element = type->target;
        count = type->count;
        // names[] has as many elements as the file gives it room for.
        if (count == CALL_UNBOUNDED && symbol->symbol.size)
            count = symbol->symbol.size / element->size;
    }
    struct reference *reference = push(L, REFERENCE_SYMBOL,
                                       symbol->symbol.address, element, count);
    reference->single = type->kind != CALL_ARRAY;
    reference->symbol = symbol;
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

// ------------------------------------------------------------------- showing

const char *reference_spell(lua_State *L, const struct reference *reference)
{
    struct call_type shown = { .kind = CALL_POINTER,
                               .target = reference->type };
    const struct call_type *type = &shown;
    if (reference->single || reference->type->kind == CALL_FUNCTION) {
        type = reference->type;
    } else if (reference->count != CALL_UNBOUNDED) {
        shown.kind = CALL_ARRAY;
        shown.count = reference->count;
    }
    const struct lua_symbol *symbol = reference->symbol;
    const char *name = symbol ? symbol->symbol.name : NULL;
    size_t size = call_spell(type, name, NULL, 0) + 1;
    luaL_Buffer buffer;
    call_spell(type, name, luaL_buffinitsize(L, &buffer, size), size);
    luaL_pushresultsize(&buffer, size - 1);
    return lua_tostring(L, -1);
}

static int show(lua_State *L)
{
    const struct reference *reference = reference_check(L, 1);
    lua_pushfstring(L, "%s: %p", reference_spell(L, reference),
                    reference->address);
    return 1;
}

// ------------------------------------------------- what cells of ours point to

// Pushes the table that keeps, by cell, what the collector must not free while
// a cell of the reference points to it. For memory of C it is the state's.
static void push_kept(lua_State *L, int index)
{
    const struct reference *reference = lua_touserdata(L, index);
    if (reference->origin == REFERENCE_MEMORY)
        lua_pushvalue(L, index);
    else if (reference->origin == REFERENCE_PART)
        lua_getiuservalue(L, index, 1);
    else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
        return;
    }
    if (lua_getiuservalue(L, -1, 1) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, 1);
    }
    lua_remove(L, -2);
}

static bool collected(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return true;
    const struct reference *reference = reference_test(L, index);
    return reference && (reference->origin == REFERENCE_MEMORY
                         || reference->origin == REFERENCE_PART
                         || reference->origin == REFERENCE_CALLBACK);
}

static void keep(lua_State *L, int index, const void *cell, int value)
{
    push_kept(L, index);
    if (collected(L, value))
        lua_pushvalue(L, value);
    else
        lua_pushnil(L);
    lua_rawsetp(L, -2, cell);
    lua_pop(L, 1);
}

// ------------------------------------------------------------------- elements

static int outside(lua_State *L, const struct reference *reference,
                   lua_Integer at)
{
    return luaL_error(L, "index %I is outside of '%s', which has %I elements "
                      "from 0", at, reference_spell(L, reference),
                      (lua_Integer)reference->count);
}

// The address of an element of known size that may be looked at.
static void *element(lua_State *L, const struct reference *reference,
                     lua_Integer at)
{
    const struct call_type *type = reference->type;
    reference_alive(L, reference);
    if (!type->size)
        luaL_error(L, "'%s' cannot be indexed: the size of %s is not known%s",
                   reference_spell(L, reference), type->spelling,
                   ctype_advice(type));
    if (reference->count != CALL_UNBOUNDED
        && (at < 0 || (size_t)at >= reference->count))
        outside(L, reference, at);
    // Unsigned, as C leaves overflow of signed arithmetic undefined.
    return (char *)reference->address + (size_t)at * type->size;
}

static lua_Integer check_key(lua_State *L, const struct reference *reference)
{
    int whole = 0;
    lua_Integer at = 0;
    if (lua_type(L, 2) == LUA_TNUMBER)
        at = lua_tointegerx(L, 2, &whole);
    if (!whole)
        luaL_error(L, "'%s' has no field '%s'%s", reference_spell(L, reference),
                   luaL_tolstring(L, 2, NULL),
                   reference->type->size
                       ? "; it is indexed by integers from 0"
                       : ctype_advice(reference->type));
    return at;
}

static int read_at(lua_State *L, int index, lua_Integer at)
{
    const struct reference *reference = lua_touserdata(L, index);
    const struct call_type *type = reference->type;
    void *address = element(L, reference, at);
    if (type->kind == CALL_ARRAY)
        reference_push_part(L, index, address, type->target, type->count);
    else
        value_push(L, type, address);
    return 1;
}

int reference_read(lua_State *L, int index)
{
    const struct reference *reference = lua_touserdata(L, index);
    reference_alive(L, reference);
    if (reference->single && reference->type->size)
        return read_at(L, index, 0);
    lua_pushvalue(L, index);
    return 1;
}

void reference_store(lua_State *L, int index, lua_Integer at, int value)
{
    const struct reference *reference = lua_touserdata(L, index);
    const struct call_type *type = reference->type;
    const struct value_place place = { .reference = reference,
                                       .number = at };
    // First, as the collector may call who closes the plugin.
    if (callback_wanted(L, value, type)) {
        callback_push(L, value, type->target);
        lua_replace(L, value);
    }
    void *address = element(L, reference, at);
    value_store(L, value, type, address, &place);
    if (type->kind == CALL_POINTER)
        keep(L, index, address, value);
}

void reference_write(lua_State *L, int index, lua_Integer at, int value)
{
    const struct reference *reference = lua_touserdata(L, index);
    if (reference->type->constant)
        luaL_error(L, "'%s' is const: it cannot be written",
                   reference_spell(L, reference));
    reference_store(L, index, at, value);
}

static int index_reference(lua_State *L)
{
    const struct reference *reference = reference_check(L, 1);
    return read_at(L, 1, check_key(L, reference));
}

static int newindex_reference(lua_State *L)
{
    const struct reference *reference = reference_check(L, 1);
    reference_write(L, 1, check_key(L, reference), 3);
    return 0;
}

static int length(lua_State *L)
{
    const struct reference *reference = reference_check(L, 1);
    if (reference->count == CALL_UNBOUNDED)
        return luaL_error(L, "'%s' does not know how many elements follow",
                          reference_spell(L, reference));
    lua_pushinteger(L, (lua_Integer)reference->count);
    return 1;
}

// ----------------------------------------------------------------- arithmetic

// array + n keeps to the array's bounds, its end included; pointer + n has
// none.
static int move(lua_State *L, int index, lua_Integer by)
{
    const struct reference *reference = reference_check(L, index);
    size_t count = reference->count;
    if (!reference->type->size)
        return luaL_error(L, "'%s' cannot be moved: the size of %s is not "
                          "known", reference_spell(L, reference),
                          reference->type->spelling);
    if (count != CALL_UNBOUNDED) {
        if (by < 0 || (size_t)by > count)
            outside(L, reference, by);
        count -= (size_t)by;
    }
    reference_push_part(L, index, (char *)reference->address
                        + (size_t)by * reference->type->size,
                        reference->type, count);
    return 1;
}

static int add(lua_State *L)
{
    int index = reference_test(L, 1) ? 1 : 2;
    return move(L, index, luaL_checkinteger(L, 3 - index));
}

static int subtract(lua_State *L)
{
    const struct reference *one = reference_check(L, 1);
    const struct reference *other = reference_test(L, 2);
    if (!other)
        return move(L, 1, (lua_Integer)-(lua_Unsigned)luaL_checkinteger(L, 2));
    if (!one->type->size || !call_same(one->type, other->type))
        return luaL_error(L, "'%s' and '%s' have no distance",
                          reference_spell(L, one), reference_spell(L, other));
    lua_Integer bytes = (lua_Integer)one->address - (lua_Integer)other->address;
    lua_pushinteger(L, bytes / (lua_Integer)one->type->size);
    return 1;
}

static int equal(lua_State *L)
{
    const struct reference *one = reference_test(L, 1);
    const struct reference *other = reference_test(L, 2);
    lua_pushboolean(L, one && other && one->address == other->address);
    return 1;
}

static const luaL_Reg methods[] = {
    { "__index", index_reference },
    { "__newindex", newindex_reference },
    { "__len", length },
    { "__add", add },
    { "__sub", subtract },
    { "__eq", equal },
    { "__tostring", show },
    { "__call", function_call },
    { NULL, NULL },
};

// typed.reference(symbol, ctype): a function, variable or array, and whether
// each thread has one of its own, which must not be kept; or nil and why not.
static int make_reference(lua_State *L)
{
    const struct call_type *type = ctype_test(L, 2);
    luaL_argexpected(L, type, 2, "C type");
    int results = reference_push_symbol(L, 1, type);
    if (results != 1)
        return results;
    lua_pushboolean(L, symbol_check(L, 1)->symbol.kind == E64_KIND_TLS);
    return 2;
}

int typed_as(lua_State *L)
{
    symbol_check(L, 1);
    if (reference_push_symbol(L, 1, ctype_check(L, 2, 0)) != 1)
        return luaL_error(L, "%s", lua_tostring(L, -1));
    return 1;
}

void reference_open(lua_State *L)
{
    luaL_newmetatable(L, metaname);
    luaL_setfuncs(L, methods, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &kept_key);
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, make_reference);
    lua_setfield(L, -2, "reference");
}
