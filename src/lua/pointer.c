// Memory of Lua's own for C to fill, and what scripts do with pointers.

#include <lauxlib.h>
#include <string.h>

#include "lua/typed.h"

// The functions that read C text exist twice: for all, and as methods of
// handles, which come first and lend their declarations.
static int take_scope(lua_State *L)
{
    return lua_toboolean(L, lua_upvalueindex(1)) ? 1 : 0;
}

// ------------------------------------------------------------------------ new

static int too_large(lua_State *L)
{
    return luaL_error(L, "so many elements do not fit in memory");
}

static size_t text_size(lua_State *L, int index,
                        const struct call_type *element)
{
    if (element->kind != CALL_INT8 && element->kind != CALL_UINT8)
        luaL_argerror(L, index, "only arrays of char can be made of a string");
    return lua_rawlen(L, index) + 1;
}

// How many elements what follows the type asks for.
static size_t wanted(lua_State *L, int index, const struct call_type *element)
{
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: {
        lua_Integer count = luaL_checkinteger(L, index);
        luaL_argcheck(L, count >= 0, index, "a count cannot be negative");
        return (size_t)count;
    }
    case LUA_TSTRING:
        return text_size(L, index, element);
    case LUA_TTABLE:
        return (size_t)luaL_len(L, index);
    default:
        return (size_t)luaL_typeerror(L, index, "integer, string or table");
    }
}

static void fill(lua_State *L, int index)
{
    struct reference *reference = lua_touserdata(L, -1);
    int self = lua_gettop(L);
    if (lua_type(L, index) == LUA_TSTRING)
        memcpy(reference->address, lua_tostring(L, index),
               lua_rawlen(L, index));
    if (lua_type(L, index) != LUA_TTABLE)
        return;
    lua_Integer count = luaL_len(L, index);
    for (lua_Integer i = 0; i < count; i++) {
        lua_geti(L, index, i + 1);
        reference_store(L, self, i, lua_gettop(L));
        lua_pop(L, 1);
    }
}

// elf.new(ctype [, count or text or list])
static int make(lua_State *L)
{
    int scope = take_scope(L), first = scope + 1, init = scope + 2;
    const struct call_type *type = ctype_check(L, first, scope);
    const struct call_type *element = type;
    size_t count = 1;
    bool given = !lua_isnoneornil(L, init);
    if (type->kind == CALL_ARRAY) {
        element = type->target;
        count = type->count;
    }
    if (!element->size)
        return luaL_argerror(L, first, lua_pushfstring(
            L, "the size of %s is not known%s", element->spelling,
            ctype_advice(element)));
    if (type->kind == CALL_ARRAY && count != CALL_UNBOUNDED) {
        if (given && lua_type(L, init) == LUA_TNUMBER)
            return luaL_argerror(L, init, "the type has its count already");
        if (given && lua_type(L, init) == LUA_TSTRING
                ? text_size(L, init, element) - 1 > count
                : given && wanted(L, init, element) > count)
            return luaL_argerror(L, init, lua_pushfstring(
                L, "too long for %s", type->spelling));
    } else if (given) {
        count = wanted(L, init, element);
    } else if (count == CALL_UNBOUNDED) {
        return luaL_argerror(L, first, lua_pushfstring(
            L, "%s needs a count", type->spelling));
    }
    if (count > (PTRDIFF_MAX - 4096) / element->size)
        return too_large(L);
    reference_push_memory(L, element, count);
    if (given)
        fill(L, init);
    return 1;
}

// ----------------------------------------------------------------------- cast

static void *address_of(lua_State *L, int index)
{
    const struct reference *reference = reference_test(L, index);
    if (reference) {
        reference_alive(L, reference);
        return reference->address;
    }
    const struct lua_symbol *symbol =
        luaL_testudata(L, index, "elf64load.symbol");
    if (symbol) {
        symbol_alive(L, symbol);
        return symbol->symbol.address;
    }
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return NULL;
    case LUA_TLIGHTUSERDATA:
        return lua_touserdata(L, index);
    default:
        luaL_typeerror(L, index, "pointer");
        return NULL;
    }
}

// elf.cast(ctype, pointer or address): what is kept alive stays kept.
static int cast(lua_State *L)
{
    int scope = take_scope(L), value = scope + 2;
    const struct call_type *type = ctype_check(L, scope + 1, scope);
    if (type->kind != CALL_POINTER)
        return luaL_argerror(L, scope + 1, lua_pushfstring(
            L, "%s is no pointer type", type->spelling));
    void *address = lua_isinteger(L, value)
        ? (void *)lua_tointeger(L, value)
        : address_of(L, value);
    if (address && reference_test(L, value))
        reference_push_part(L, value, address, type->target, CALL_UNBOUNDED);
    else
        reference_push_pointer(L, address, type->target);
    return 1;
}

// elf.address(pointer)
static int address(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushinteger(L, (lua_Integer)address_of(L, 1));
    return 1;
}

// elf.type(text): the C type; elf.type(pointer): its type.
static int type(lua_State *L)
{
    int scope = take_scope(L);
    const struct reference *reference = reference_test(L, scope + 1);
    struct call_types *types = ctype_pool(L);
    if (!reference)
        ctype_push(L, ctype_check(L, scope + 1, scope));
    else if (reference->single || reference->type->kind == CALL_FUNCTION)
        ctype_push(L, reference->type);
    else if (reference->count == CALL_UNBOUNDED)
        ctype_push(L, call_pointer(types, reference->type));
    else
        ctype_push(L, call_array(types, reference->type, reference->count));
    return 1;
}

// elf.callback(ctype, function)
static int callback(lua_State *L)
{
    return callback_make(L, take_scope(L));
}

// --------------------------------------------------------------------- string

// elf.string(pointer [, size]): a copy of the bytes, up to the first zero
// unless the size is given. nil gives nil, as NULL is nil.
static int string(lua_State *L)
{
    if (lua_isnil(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    const struct reference *reference = reference_check(L, 1);
    enum call_kind kind = reference->type->kind;
    reference_alive(L, reference);
    size_t most = SIZE_MAX, size;
    if (reference->count != CALL_UNBOUNDED && reference->type->size)
        most = reference->count * reference->type->size;
    if (!lua_isnoneornil(L, 2)) {
        lua_Integer given = luaL_checkinteger(L, 2);
        luaL_argcheck(L, given >= 0, 2, "a size cannot be negative");
        size = (size_t)given;
        if (size > most)
            return luaL_argerror(L, 2, lua_pushfstring(
                L, "'%s' has %I bytes", reference_spell(L, reference),
                (lua_Integer)most));
    } else {
        if (kind != CALL_INT8 && kind != CALL_UINT8 && kind != CALL_VOID)
            return luaL_argerror(L, 1, lua_pushfstring(
                L, "'%s' is no text; with a size its bytes can be copied",
                reference_spell(L, reference)));
        size = most == SIZE_MAX ? strlen(reference->address)
                                : strnlen(reference->address, most);
    }
    lua_pushlstring(L, reference->address, size);
    return 1;
}

// -------------------------------------------------------------------- opening

static const luaL_Reg readers[] = {
    { "new", make },
    { "cast", cast },
    { "type", type },
    { "callback", callback },
    { NULL, NULL },
};

static const luaL_Reg functions[] = {
    { "address", address },
    { "string", string },
    { NULL, NULL },
};

void pointer_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
    lua_pushboolean(L, 0);
    luaL_setfuncs(L, readers, 1);
    luaL_newlibtable(L, readers);
    lua_pushboolean(L, 1);
    luaL_setfuncs(L, readers, 1);
    lua_setfield(L, -2, "methods");
}
