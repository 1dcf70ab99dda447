// Plugins made of object files, in Lua.

#ifndef LUA_OBJECT_H
#define LUA_OBJECT_H

#include <lua.h>

// runtime:link(sources, options)
int object_link_new(lua_State *L);
// handle:replace(name, source)
int object_replace(lua_State *L);

#endif
