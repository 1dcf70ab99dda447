// The rules of a policy, from Lua's tables to C's.

#ifndef LUA_RULES_H
#define LUA_RULES_H

#include <lua.h>

#include "elf64load.h"

// Reads { rules = { allow =, deny =, intercept = }, plugins = { { glob =,
// rules = }, ... } } of the table at `index`. What the options then point to
// lies on the stack, where it must stay while they are used.
void rules_read(lua_State *L, int index, e64_runtime_options *options);

#endif
