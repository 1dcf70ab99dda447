// A binding as one writes it by hand for `int f(int, int)`: what the row `call`
// measures calls from Lua beside.

#include <lauxlib.h>

static int (*f)(int, int);

static int call_f(lua_State *L)
{
    int a = (int)luaL_checkinteger(L, 1);
    int b = (int)luaL_checkinteger(L, 2);
    lua_pushinteger(L, f(a, b));
    return 1;
}

// Is given the address of f.
int luaopen_binding(lua_State *L)
{
    f = (int (*)(int, int))luaL_checkinteger(L, 1);
    lua_pushcfunction(L, call_f);
    return 1;
}
