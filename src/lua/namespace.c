// What p:cdef returns: names that are looked up when they are first used.
//
// The namespace is an empty proxy. Reading goes to a table of functions and
// constants that have been used already, without a call, and from there to
// `get` below; writing always comes to `set`.

#include <lauxlib.h>

#include "lua/typed.h"

// Upvalues of both functions: the variables that have been used, by name, and
// a function that finds a name: it answers the value, and whether it is a
// reference to a variable.
enum { VARIABLES = 1, RESOLVE = 2 };

// Leaves the reference to the variable, and true; or the value, and false.
static bool resolve(lua_State *L, int name)
{
    lua_pushvalue(L, name);
    if (lua_rawget(L, lua_upvalueindex(VARIABLES)) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(RESOLVE));
    lua_pushvalue(L, name);
    lua_call(L, 1, 2);
    bool variable = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return variable && reference_test(L, -1);
}

// __index: the used names, then the key.
static int get(lua_State *L)
{
    if (resolve(L, 2))
        return reference_read(L, lua_gettop(L));
    return 1;
}

// __newindex: the namespace, the key and the value.
static int set(lua_State *L)
{
    if (resolve(L, 2)) {
        const struct reference *reference = lua_touserdata(L, -1);
        if (!reference->single || !reference->type->size)
            return luaL_error(L, "'%s' cannot be written as a whole",
                              reference_spell(L, reference));
        reference_write(L, lua_gettop(L), 0, 3);
        return 0;
    }
    return luaL_error(L, "'%s' is no variable: it cannot be written",
                      luaL_tolstring(L, 2, NULL));
}

// typed.namespace(used, variables, resolve): the proxy's metatable.
static int make_namespace(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);

    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushcclosure(L, get, 2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, 1);

    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushcclosure(L, set, 2);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "elf64load.namespace");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    return 1;
}

void namespace_open(lua_State *L)
{
    lua_pushcfunction(L, make_namespace);
    lua_setfield(L, -2, "namespace");
}
