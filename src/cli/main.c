// The command elf64load: a Lua 5.4 host with the loader linked in. All that it
// does with its arguments is written in lua/elf64load/cli.lua.

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua-lpeg.h>
#include <lualib.h>

#include "elf64load.h"
#include "lua/bundle.h"

struct arguments {
    int count;
    char **values;
};

static int explain(lua_State *L)
{
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction opener)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, opener);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

// Makes the state what a plain lua5.4 would be, with our modules in it, and
// leaves the exit status that the command has chosen.
static int run(lua_State *L)
{
    const struct arguments *arguments = lua_touserdata(L, 1);

    luaL_checkversion(L);
    luaL_openlibs(L);
    // As lua5.4 does: scripts see the same collector in both hosts.
    lua_gc(L, LUA_GCGEN, 0, 0);
    preload(L, "lpeg", luaopen_lpeg);
    bundle_install(L);

    lua_getglobal(L, "require");
    lua_pushliteral(L, "elf64load.cli");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_createtable(L, arguments->count, 1);
    for (int index = 0; index < arguments->count; index++) {
        lua_pushstring(L, arguments->values[index]);
        lua_rawseti(L, -2, index);
    }
    lua_pushstring(L, e64_version());
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    lua_call(L, 3, 1);
    return 1;
}

int main(int count, char **values)
{
    struct arguments arguments = {count, values};
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("elf64load: not enough memory for a Lua state\n", stderr);
        return EXIT_FAILURE;
    }
    int status = EXIT_FAILURE;
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &arguments);
    if (lua_pcall(L, 1, 1, 1) == LUA_OK)
        status = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "elf64load: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return status;
}
