// Handles in Lua: what open gives.

#ifndef LUA_HANDLE_H
#define LUA_HANDLE_H

#include <stdbool.h>

#include <lua.h>

#include "elf64load.h"

void handle_open(lua_State *L);

// Pushes a handle that is closed; the runtime's userdata at `runtime` lives as
// long as it. That is done before a plugin is opened for it, as memory may lack
// for this alone.
struct handle *handle_push(lua_State *L, int runtime);
// Makes it stand for a plugin; `counted`: for an open, which its close ends.
void handle_set(struct handle *handle, e64_plugin *plugin, bool counted);

bool handle_test(lua_State *L, int index);
// The plugin of a handle that is not closed; raises on anything else.
e64_plugin *handle_check(lua_State *L, int index);
// The handle itself, if an open has given it; raises for one that lists what
// others opened, and for the process.
struct handle *handle_check_own(lua_State *L, int index);

#endif
