// Who is calling from Lua.

#include "lua/calling.h"

#include <lauxlib.h>

__thread struct calling *calling;

// The key in the registry of what callbacks have raised, by depth of the call.
// Every place is there beforehand, so that setting it needs no memory.
static const char errors_key = 'e';

// C calls that Lua allows within each other (LUAI_MAXCCALLS).
enum { MOST_DEPTH = 200 };

const lua_State *calling_main(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    const lua_State *state = lua_tothread(L, -1);
    lua_pop(L, 1);
    return state;
}

void calling_open(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key) == LUA_TNIL) {
        lua_createtable(L, MOST_DEPTH, 0);
        for (int i = 1; i <= MOST_DEPTH; i++) {
            lua_pushboolean(L, false);
            lua_rawseti(L, -2, i);
        }
        lua_rawsetp(L, LUA_REGISTRYINDEX, &errors_key);
    }
    lua_pop(L, 1);
}

void calling_raised(lua_State *L)
{
    if (!calling->raised && calling->depth <= MOST_DEPTH) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
        lua_insert(L, -2);
        lua_rawseti(L, -2, calling->depth);
    }
    lua_pop(L, 1);
    calling->raised = true;
}

void calling_rethrow(lua_State *L, const struct calling *self)
{
    if (!self->raised)
        return;
    if (self->depth > MOST_DEPTH)
        luaL_error(L, "a callback raised, %d calls deep", self->depth);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
    lua_rawgeti(L, -1, self->depth);
    lua_pushboolean(L, false);
    lua_rawseti(L, -3, self->depth);
    lua_error(L);
}

static int show(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

void calling_warn(lua_State *L, const struct calling *self)
{
    if (self->depth > MOST_DEPTH || !lua_checkstack(L, LUA_MINSTACK))
        return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
    lua_pushcfunction(L, show);
    lua_rawgeti(L, -2, self->depth);
    lua_pushboolean(L, false);
    lua_rawseti(L, -4, self->depth);
    const char *text = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tostring(L, -1)
                                                       : NULL;
    lua_warning(L, "a callback raised in a thread that is in no call from its "
                "Lua state: ", 1);
    lua_warning(L, text ? text : "out of memory", 0);
    lua_pop(L, 2);
}
