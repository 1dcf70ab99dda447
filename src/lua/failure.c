// World errors in Lua.

#include "failure.h"

#include <string.h>

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
            set(L, "wanter", wanter);
            set(L, "version", *version ? version : NULL);
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
    set_groups(L, error);
    set_list(L, "versions", error->versions);
    set(L, "demangled", error->demangled);
    set(L, "advice", error->advice);
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
