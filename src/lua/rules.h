// The rules of a policy, from Lua's tables to C's.

#ifndef LUA_RULES_H
#define LUA_RULES_H

#include <lua.h>

#include "elf64load.h"

// The list of definitions { name, version, address, size, kind, cell } that the
// table at `table` has under a name, likewise.
e64_definition *definitions_read(lua_State *L, int table, const char *name,
                                 size_t *count);

// Reads { rules = { allow =, deny =, intercept = }, plugins = { { glob =,
// rules = }, ... } } of the table at `index`. What the options then point to
// lies on the stack, where it must stay while they are used.
void rules_read(lua_State *L, int index, e64_runtime_options *options);

#endif
