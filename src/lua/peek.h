// Looking into files that are not opened.

#ifndef LUA_PEEK_H
#define LUA_PEEK_H

#include <lua.h>

// Adds `peek` to the table on top of the stack.
void peek_open(lua_State *L);

#endif
