// C types as Lua values, and the functions by which cdef.lua makes them. What C
// does not allow, or we do not support, these answer with nil and the reason;
// cdef.lua knows where in the text that was.

#include <lauxlib.h>
#include <string.h>

#include "lua/typed.h"

// Keys in the registry are the addresses of these.
static const char pool_key = 'p', meta_key = 'm', parser_key = 'r';

static const char *const metaname = "elf64load.ctype";

struct pool {
    struct call_types *types;
};

static int free_pool(lua_State *L)
{
    struct pool *pool = luaL_checkudata(L, 1, "elf64load.types");
    call_types_free(pool->types);
    pool->types = NULL;
    return 0;
}

static int no_memory(lua_State *L)
{
    return luaL_error(L, "not enough memory for a C type");
}

static void open_pool(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key) == LUA_TNIL) {
        struct pool *pool = lua_newuserdatauv(L, sizeof *pool, 0);
        pool->types = NULL;
        if (luaL_newmetatable(L, "elf64load.types")) {
            lua_pushcfunction(L, free_pool);
            lua_setfield(L, -2, "__gc");
        }
        lua_setmetatable(L, -2);
        pool->types = call_types_new();
        if (!pool->types)
            no_memory(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &pool_key);
    }
    lua_pop(L, 1);
}

struct call_types *ctype_pool(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key);
    struct pool *pool = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return pool->types;
}

void ctype_push(lua_State *L, const struct call_type *type)
{
    if (!type)
        no_memory(L);
    const struct call_type **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = type;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
    lua_setmetatable(L, -2);
}

const struct call_type *ctype_test(lua_State *L, int index)
{
    const struct call_type **box = luaL_testudata(L, index, metaname);
    return box ? *box : NULL;
}

static const struct call_type *check(lua_State *L, int index)
{
    return *(const struct call_type **)luaL_checkudata(L, index, metaname);
}

const struct call_type *ctype_check(lua_State *L, int index, int scope)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        const struct call_type *type = ctype_test(L, index);
        if (!type)
            luaL_typeerror(L, index, "C type");
        return type;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parser_key) == LUA_TNIL)
        luaL_error(L, "elf64load.cdef, which reads C text, is not loaded");
    lua_pushvalue(L, index);
    if (scope)
        lua_pushvalue(L, scope);
    else
        lua_pushnil(L);
    lua_call(L, 2, 2);
    const struct call_type *type = ctype_test(L, -2);
    if (!type)
        luaL_argerror(L, index, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 2);
    return type;
}

// --------------------------------------------------------------- making types

static int refuse(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static const struct scalar {
    const char *name;
    enum call_kind kind;
} scalars[] = {
    { "void", CALL_VOID },
    { "_Bool", CALL_BOOL },
    // Plain char is signed on x86-64 (psABI, figure 3.1).
    { "char", CALL_INT8 },
    { "signed char", CALL_INT8 },
    { "unsigned char", CALL_UINT8 },
    { "short", CALL_INT16 },
    { "unsigned short", CALL_UINT16 },
    { "int", CALL_INT32 },
    { "unsigned int", CALL_UINT32 },
    { "long", CALL_INT64 },
    { "unsigned long", CALL_UINT64 },
    { "long long", CALL_INT64 },
    { "unsigned long long", CALL_UINT64 },
    { "float", CALL_FLOAT },
    { "double", CALL_DOUBLE },
    { "long double", CALL_LONGDOUBLE },
};

static int make_scalar(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
        if (strcmp(scalars[i].name, name) == 0) {
            ctype_push(L, call_scalar(ctype_pool(L), scalars[i].kind, name));
            return 1;
        }
    return luaL_argerror(L, 1, "no scalar type of C");
}

// Leaves the type, or nil and why not.
static int push_derived(lua_State *L, const struct call_type *type)
{
    if (type && type->depth > CALL_MOST_DEPTH)
        return refuse(L, "a type that is nested so deeply is not supported");
    ctype_push(L, type);
    return 1;
}

const char *ctype_advice(const struct call_type *type)
{
    return type->kind != CALL_OPAQUE ? ""
         : "; structs and unions are opaque here, and used by pointers alone";
}

static int make_pointer(lua_State *L)
{
    return push_derived(L, call_pointer(ctype_pool(L), check(L, 1)));
}

// Pushes "WHAT TYPE: WHY".
static int refuse_type(lua_State *L, const char *what,
                       const struct call_type *type, const char *why)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s %s%s", what, type->spelling, why);
    return 2;
}

// typed.array(element [, count])
static int make_array(lua_State *L)
{
    const struct call_type *element = check(L, 1);
    if (element->kind == CALL_VOID || element->kind == CALL_FUNCTION)
        return refuse_type(L, "there are no arrays of", element, "");
    if (!element->size)
        return refuse_type(L, "an array of", element,
                           " has no size, for that of its elements is not "
                           "known");
    lua_Integer count = luaL_optinteger(L, 2, 0);
    if (lua_isnoneornil(L, 2))
        count = -1;
    else if (count < 0)
        return refuse(L, "an array cannot have a negative size");
    else if ((size_t)count > PTRDIFF_MAX / element->size)
        return refuse(L, "an array of that size does not fit in memory");
    return push_derived(L, call_array(ctype_pool(L), element,
                                      count < 0 ? CALL_UNBOUNDED
                                                : (size_t)count));
}

// Parameters that are arrays or functions are pointers (C11 6.7.6.3p7, p8).
static const struct call_type *adjust(lua_State *L,
                                      const struct call_type *type)
{
    if (type->kind == CALL_ARRAY)
        type = call_pointer(ctype_pool(L), type->target);
    else if (type->kind == CALL_FUNCTION)
        type = call_pointer(ctype_pool(L), type);
    if (!type)
        no_memory(L);
    return type;
}

// typed.prototype(result, parameters, variadic): a refusal has as third value
// the number of the parameter that it is about.
static int make_prototype(lua_State *L)
{
    const struct call_type *result = check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    const struct call_type *parameters[CALL_MOST_ARGUMENTS];
    lua_Integer count = luaL_len(L, 2);
    if (count > CALL_MOST_ARGUMENTS)
        return refuse(L, "a function of more than 127 parameters is not "
                      "supported");
    if (result->kind == CALL_ARRAY || result->kind == CALL_FUNCTION)
        return refuse_type(L, "a function cannot return", result, "");
    if (result->kind == CALL_OPAQUE)
        return refuse_type(L, "returning", result,
                           " by value is not supported, only pointers to it "
                           "are");
    for (lua_Integer i = 0; i < count; i++) {
        lua_rawgeti(L, 2, i + 1);
        const struct call_type *type = adjust(L, check(L, -1));
        lua_pop(L, 1);
        parameters[i] = type;
        if (type->kind == CALL_VOID)
            refuse(L, "a parameter cannot be void");
        else if (type->kind == CALL_OPAQUE)
            refuse_type(L, "passing", type, " by value is not supported, only "
                        "pointers to it are");
        else
            continue;
        lua_pushinteger(L, i + 1);
        return 3;
    }
    return push_derived(L, call_function(ctype_pool(L), result, parameters,
                                         (size_t)count, lua_toboolean(L, 3)));
}

// typed.opaque "struct sqlite3"
static int make_opaque(lua_State *L)
{
    ctype_push(L, call_opaque(ctype_pool(L), luaL_checkstring(L, 1)));
    return 1;
}

// The type that gcc gives an enum: unsigned unless a value is negative, long
// when int does not hold all.
static enum call_kind enum_kind(const struct call_enumerator *enumerators,
                                size_t count)
{
    int64_t least = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        if (enumerators[i].value < least)
            least = enumerators[i].value;
        if (enumerators[i].value > most)
            most = enumerators[i].value;
    }
    if (least >= 0)
        return most <= UINT32_MAX ? CALL_UINT32 : CALL_UINT64;
    return least >= INT32_MIN && most <= INT32_MAX ? CALL_INT32 : CALL_INT64;
}

// typed.enum(tag or nil, names, values)
static int make_enum(lua_State *L)
{
    const char *tag = luaL_optstring(L, 1, NULL);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    size_t count = (size_t)luaL_len(L, 2);
    struct call_enumerator *enumerators =
        lua_newuserdatauv(L, count * sizeof *enumerators + 1, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        lua_rawgeti(L, 3, (lua_Integer)i + 1);
        // The table keeps the name until it has been copied.
        enumerators[i].name = luaL_checkstring(L, -2);
        enumerators[i].value = luaL_checkinteger(L, -1);
        lua_pop(L, 2);
    }
    ctype_push(L, call_enum(ctype_pool(L), tag, enum_kind(enumerators, count),
                            enumerators, count));
    return 1;
}

static int make_const(lua_State *L)
{
    ctype_push(L, call_const(ctype_pool(L), check(L, 1)));
    return 1;
}

// typed.alias(ctype, name)
static int make_alias(lua_State *L)
{
    ctype_push(L, call_alias(ctype_pool(L), check(L, 1),
                             luaL_checkstring(L, 2)));
    return 1;
}

static int same(lua_State *L)
{
    const struct call_type *one = check(L, 1), *other = check(L, 2);
    lua_pushboolean(L, one->constant == other->constant
                       && call_same(one, other));
    return 1;
}

// typed.parser(function (text, handle or nil) return ctype or nil, why end)
static int set_parser(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parser_key);
    return 0;
}

// ------------------------------------------------------------------ metatable

static const char *kind_name(const struct call_type *type)
{
    switch (type->kind) {
    case CALL_VOID:
        return "void";
    case CALL_BOOL:
        return "boolean";
    case CALL_FLOAT:
    case CALL_DOUBLE:
    case CALL_LONGDOUBLE:
        return "float";
    case CALL_POINTER:
        return "pointer";
    case CALL_ARRAY:
        return "array";
    case CALL_FUNCTION:
        return "function";
    case CALL_OPAQUE:
        return "opaque";
    default:
        return type->enumerators ? "enum" : "integer";
    }
}

static bool is_unsigned(const struct call_type *type)
{
    return type->kind == CALL_UINT8 || type->kind == CALL_UINT16
        || type->kind == CALL_UINT32 || type->kind == CALL_UINT64;
}

static int index_type(lua_State *L)
{
    const struct call_type *type = check(L, 1);
    const char *field = luaL_checkstring(L, 2);
    if (strcmp(field, "kind") == 0)
        lua_pushstring(L, kind_name(type));
    else if (strcmp(field, "size") == 0 && type->size)
        lua_pushinteger(L, (lua_Integer)type->size);
    else if (strcmp(field, "align") == 0 && type->align)
        lua_pushinteger(L, (lua_Integer)type->align);
    else if (strcmp(field, "unsigned") == 0 && call_integer(type))
        lua_pushboolean(L, is_unsigned(type));
    else
        lua_pushnil(L);
    return 1;
}

static int equal(lua_State *L)
{
    const struct call_type *one = ctype_test(L, 1);
    lua_pushboolean(L, one && one == ctype_test(L, 2));
    return 1;
}

static int show(lua_State *L)
{
    lua_pushstring(L, check(L, 1)->spelling);
    return 1;
}

static const luaL_Reg methods[] = {
    { "__index", index_type },
    { "__eq", equal },
    { "__tostring", show },
    { NULL, NULL },
};

static const luaL_Reg functions[] = {
    { "scalar", make_scalar },
    { "pointer", make_pointer },
    { "array", make_array },
    { "prototype", make_prototype },
    { "opaque", make_opaque },
    { "enum", make_enum },
    { "const", make_const },
    { "alias", make_alias },
    { "same", same },
    { "parser", set_parser },
    { NULL, NULL },
};

void ctype_open(lua_State *L)
{
    open_pool(L);
    luaL_newmetatable(L, metaname);
    luaL_setfuncs(L, methods, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
    luaL_setfuncs(L, functions, 0);
}
