// What a cache asks of files and of texts: is it the same, has it changed.

#ifndef LUA_STAMP_H
#define LUA_STAMP_H

#include <lua.h>

// Adds `stamp` and `digest` to the table on top of the stack.
void stamp_open(lua_State *L);

#endif
