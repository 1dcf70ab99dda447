// `require` finds the scripts that the program carries inside itself.

#include "lua/bundle.h"

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "elf64load_lua.h"

static const struct bundle_script *find(const char *name)
{
    const struct bundle_script *script = bundle_scripts;
    while (script->name && strcmp(script->name, name) != 0)
        script++;
    return script->name ? script : NULL;
}

static void load(lua_State *L, const struct bundle_script *script)
{
    const char *bytes = (const char *)script->bytes;
    if (luaL_loadbufferx(L, bytes, script->size, script->chunk, "t") != LUA_OK)
        lua_error(L);
}

// A searcher of package.searchers: answers a loader and what to tell it, or
// nothing, since a name that is not ours is not worth a line in `require`'s
// message.
static int search(lua_State *L)
{
    const struct bundle_script *script = find(luaL_checkstring(L, 1));
    if (!script)
        return 0;
    load(L, script);
    lua_pushstring(L, script->chunk + 1);
    return 2;
}

void bundle_install(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_elf64load_core);
    lua_setfield(L, -2, "elf64load.core");
    lua_pop(L, 1);

    // The address of the function marks a state that has the searcher.
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, (void *)bundle_scripts) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pushboolean(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)bundle_scripts);
    lua_pop(L, 1);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_LOADLIBNAME) != LUA_TTABLE
        || lua_getfield(L, -1, "searchers") != LUA_TTABLE)
        luaL_error(L, "elf64load needs the library 'package'");
    // After package.preload, by which a program can still put in its own.
    for (lua_Integer at = luaL_len(L, -1); at >= 2; at--) {
        lua_rawgeti(L, -1, at);
        lua_rawseti(L, -2, at + 1);
    }
    lua_pushcfunction(L, search);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 3);
}

// As a C module's opener: for an engine's luaL_requiref or package.preload.
int luaopen_elf64load(lua_State *L)
{
    bundle_install(L);
    // Not through `require`, which may be what called.
    const struct bundle_script *script = find("elf64load");
    if (!script)
        return luaL_error(L, "this program carries no script 'elf64load'");
    load(L, script);
    lua_pushstring(L, script->name);
    lua_pushstring(L, script->chunk + 1);
    lua_call(L, 2, 1);
    return 1;
}
