// Handles in Lua: what open gives.

#ifndef LUA_HANDLE_H
#define LUA_HANDLE_H

#include <stdbool.h>

#include <lua.h>

#include "elf64load.h"

void handle_open(lua_State *L);

// Pushes a handle; the runtime's userdata at `runtime` lives as long as it.
// `counted`: it stands for an open, which its close ends.
void handle_push(lua_State *L, e64_plugin *plugin, bool counted, int runtime);

// The plugin of a handle that is not closed; raises on anything else.
e64_plugin *handle_check(lua_State *L, int index);

#endif
