// Runtimes in Lua.

#ifndef LUA_RUNTIME_H
#define LUA_RUNTIME_H

#include <lua.h>

// Adds `runtime` to the table on top.
void runtime_open(lua_State *L);

#endif
