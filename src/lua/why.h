// Why something is as it is, in Lua: lua/elf64load/why.lua makes more of it.

#ifndef LUA_WHY_H
#define LUA_WHY_H

#include <lua.h>

void why_open(lua_State *L);

#endif
