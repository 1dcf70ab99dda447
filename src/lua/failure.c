// World errors in Lua.

#include "failure.h"

static void set(lua_State *L, const char *name, const char *text)
{
    if (text) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, name);
    }
}

static void set_list(lua_State *L, const char *name, const char *const *list)
{
    if (!list)
        return;
    lua_newtable(L);
    for (lua_Integer i = 0; list[i]; i++) {
        lua_pushstring(L, list[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, name);
}

int failure_push(lua_State *L, const e64_error *error, int cause)
{
    lua_pushnil(L);
    lua_pushstring(L, error->message);
    lua_pushstring(L, e64_status_name(error->status));
    lua_newtable(L);
    set(L, "wanter", error->wanter);
    set(L, "path", error->path);
    set(L, "symbol", error->symbol);
    set(L, "version", error->version);
    set_list(L, "scopes", error->scopes);
    set_list(L, "near", error->near);
    set_list(L, "missing", error->missing);
    if (error->system_errno) {
        lua_pushinteger(L, error->system_errno);
        lua_setfield(L, -2, "errno");
    }
    if (cause) {
        lua_pushvalue(L, cause);
        lua_setfield(L, -2, "error");
    }
    return 4;
}
