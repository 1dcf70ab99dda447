// World errors in Lua: nil, message, kind, detail.

#ifndef LUA_FAILURE_H
#define LUA_FAILURE_H

#include <lua.h>

#include "elf64load.h"

// Pushes the four values and returns 4. With a value at `cause` (0: none) that
// a hook raised, detail.error is it.
int failure_push(lua_State *L, const e64_error *error, int cause);

// Pushes a text of the value on top, and answers it. Does not raise.
const char *failure_text(lua_State *L);

#endif
