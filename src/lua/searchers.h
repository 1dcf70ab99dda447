// The steps of a search in Lua.

#ifndef LUA_SEARCHERS_H
#define LUA_SEARCHERS_H

#include <lua.h>

// Adds `search` to the table on top: a function for each step, by its name.
void searchers_open(lua_State *L);

#endif
