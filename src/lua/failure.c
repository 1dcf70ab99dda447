// World errors in Lua.

#include "failure.h"

#include <lauxlib.h>
#include <string.h>

#include "fields.h"

// detail.groups: { wanter =, version =, symbols = { } } for each wanter and
// version in the order in which they are.
static void set_groups(lua_State *L, const e64_error *error)
{
    lua_Integer groups = 0, symbols = 0;
    if (!error->missing)
        return;
    lua_newtable(L);
    for (size_t i = 0; error->missing[i]; i++) {
        const char *wanter = error->missing_wanters[i];
        const char *version = error->missing_versions[i];
        if (i == 0 || strcmp(wanter, error->missing_wanters[i - 1]) != 0
            || strcmp(version, error->missing_versions[i - 1]) != 0) {
            if (groups)
                lua_pop(L, 2);
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_rawseti(L, -3, ++groups);
            field_text(L, "wanter", wanter);
            field_text(L, "version", *version ? version : NULL);
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_setfield(L, -3, "symbols");
            symbols = 0;
        }
        lua_pushstring(L, error->missing[i]);
        lua_rawseti(L, -2, ++symbols);
    }
    if (groups)
        lua_pop(L, 2);
    lua_setfield(L, -2, "groups");
}

static int make_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

const char *failure_text(lua_State *L)
{
    lua_pushcfunction(L, make_text);
    lua_pushvalue(L, -2);
    const char *text = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tostring(L, -1)
                                                       : NULL;
    return text ? text : "out of memory";
}

int failure_push(lua_State *L, const e64_error *error, int cause)
{
    lua_pushnil(L);
    lua_pushstring(L, error->message);
    lua_pushstring(L, e64_status_name(error->status));
    lua_newtable(L);
    field_text(L, "wanter", error->wanter);
    field_text(L, "path", error->path);
    field_text(L, "symbol", error->symbol);
    field_text(L, "version", error->version);
    field_texts(L, "scopes", error->scopes);
    field_texts(L, "near", error->near);
    field_texts(L, "missing", error->missing);
    set_groups(L, error);
    field_texts(L, "versions", error->versions);
    field_text(L, "demangled", error->demangled);
    field_text(L, "advice", error->advice);
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
