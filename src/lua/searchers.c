// The steps of a search, each a function of its own:
//
//     core.search.NAME(name [, wanter [, path]]) -> path of the file
//                                               or nil, why not
//
// `wanter` is nil for the program itself or { path =, rpath =, runpath =,
// nodeflib =, loader = another one }; `path` the templates, which only the step
// of that name looks at. They let a script put ld.so's order together anew.

#include "searchers.h"

#include <stdbool.h>

#include <lauxlib.h>

#include "error.h"
#include "memory.h"
#include "run/search.h"

// Longer chains of loaders than any program has: a table may be its own loader.
enum { MOST_LOADERS = 256 };

static const struct {
    const char *name;
    enum search_place place;
} steps[] = {
    { "path", SEARCH_PATH },
    { "rpath", SEARCH_RPATH },
    { "environment", SEARCH_ENVIRONMENT },
    { "runpath", SEARCH_RUNPATH },
    { "cache", SEARCH_CACHE },
    { "default", SEARCH_DEFAULT },
};

// A string of the table on top, raw: it must stay in the table while it is
// used.
static const char *field(lua_State *L, const char *name)
{
    const char *text = NULL;
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    if (type == LUA_TSTRING)
        text = lua_tostring(L, -1);
    else if (type != LUA_TNIL)
        luaL_error(L, "the wanter's field '%s' is a %s, not a string", name,
                   lua_typename(L, type));
    lua_pop(L, 1);
    return text;
}

// The wanter at `index` and its loaders, in memory that Lua frees; NULL for
// none. Leaves one value on the stack, which holds them.
static const struct search_wanter *wanters(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return NULL;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    struct search_wanter *chain =
        lua_newuserdatauv(L, MOST_LOADERS * sizeof *chain, 0);
    lua_pushvalue(L, index);
    for (int i = 0; i < MOST_LOADERS; i++) {
        chain[i] = (struct search_wanter){
            .path = field(L, "path"),
            .rpath = field(L, "rpath"),
            .runpath = field(L, "runpath"),
        };
        lua_pushstring(L, "nodeflib");
        lua_rawget(L, -2);
        chain[i].nodeflib = lua_toboolean(L, -1);
        lua_pop(L, 1);
        lua_pushstring(L, "loader");
        int type = lua_rawget(L, -2);
        lua_remove(L, -2);
        if (type == LUA_TNIL) {
            lua_pop(L, 1);
            return chain;
        }
        if (type != LUA_TTABLE)
            luaL_error(L, "the wanter's loader is a %s, not a table",
                       lua_typename(L, type));
        if (i + 1 < MOST_LOADERS)
            chain[i].loader = &chain[i + 1];
    }
    luaL_error(L, "the wanter has more than %d loaders", MOST_LOADERS);
    return NULL;
}

#define ANSWER "elf64load.search.answer"

static int free_answer(lua_State *L)
{
    char **path = lua_touserdata(L, 1);
    memory_free(*path);
    *path = NULL;
    return 0;
}

// Upvalue 1: the step.
static int search(lua_State *L)
{
    enum search_place place = (enum search_place)lua_tointeger(
        L, lua_upvalueindex(1));
    struct search_request request = {
        .name = luaL_checkstring(L, 1),
        .path = luaL_optstring(L, 3, NULL),
    };
    request.wanter = wanters(L, 2);
    // Lua frees it should there be no memory left for its own string.
    char **path = lua_newuserdatauv(L, sizeof *path, 0);
    *path = NULL;
    luaL_setmetatable(L, ANSWER);
    e64_status status = search_in(place, &request, path);
    if (status == E64_OK) {
        lua_pushstring(L, *path);
        memory_free(*path);
        *path = NULL;
        return 1;
    }
    if (status == E64_NOMEMORY)
        return luaL_error(L, "%s", error_pending()->message);
    lua_pushnil(L);
    lua_pushstring(L, error_pending()->message);
    return 2;
}

void searchers_open(lua_State *L)
{
    if (luaL_newmetatable(L, ANSWER)) {
        lua_pushcfunction(L, free_answer);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        lua_pushinteger(L, steps[i].place);
        lua_pushcclosure(L, search, 1);
        lua_setfield(L, -2, steps[i].name);
    }
    lua_setfield(L, -2, "search");
}
