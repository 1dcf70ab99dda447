// Who is calling from Lua: what a hook needs that C calls in the course of it.

#ifndef LUA_CALLING_H
#define LUA_CALLING_H

#include <lua.h>

// The state whose typed function is running on this thread, or NULL; not that
// of a call to the loader itself.
extern __thread lua_State *calling_state
    __attribute__((visibility("hidden")));

#endif
