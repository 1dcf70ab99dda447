// Who is calling from Lua.

#include "lua/calling.h"

#include "lua/typed.h"

__thread struct calling *calling;

const lua_State *calling_main(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    const lua_State *state = lua_tothread(L, -1);
    lua_pop(L, 1);
    return state;
}

void calling_enter(struct calling *self, lua_State *L)
{
    *self = (struct calling){ .outer = calling, .L = L,
                              .main = calling_main(L) };
    calling = self;
}

void calling_leave(const struct calling *self)
{
    calling = self->outer;
    callback_report(self->L);
}

void calling_rethrow(lua_State *L, const struct calling *self)
{
    if (!self->raised)
        return;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, self) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushliteral(L, "a callback raised, and there was no memory to keep "
                        "what");
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, self);
    lua_error(L);
}
