// Who is calling from Lua: what hooks and callbacks need that C calls in the
// course of it.

#ifndef LUA_CALLING_H
#define LUA_CALLING_H

#include <stdbool.h>

#include <lua.h>

// A call into C that a Lua state is in. It lies on the stack of its thread.
struct calling {
    struct calling *outer;
    lua_State *L;    // the coroutine that calls
    const lua_State *main; // of its state
    bool raised; // by a callback: what, is in the registry by this address
};

// The innermost of this thread, or NULL.
extern __thread struct calling *calling
    __attribute__((visibility("hidden")));

void calling_enter(struct calling *self, lua_State *L);
// Tells of callbacks that could not be made, too.
void calling_leave(const struct calling *self);

// Raises what a callback raised meanwhile, if one did.
void calling_rethrow(lua_State *L, const struct calling *self);

// The first thread of a state, by which states are told apart.
const lua_State *calling_main(lua_State *L);

#endif
