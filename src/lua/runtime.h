// Runtimes in Lua, for the files that make up their userdata.

#ifndef LUA_RUNTIME_H
#define LUA_RUNTIME_H

#include <stdbool.h>

#include <lua.h>

#include "elf64load.h"

// Uservalue 1: the table of hooks, by name; 2: of what it has given to plugins.
struct runtime {
    e64_runtime *runtime;  // NULL once it is closed
    bool gave; // something to plugins: the collector must not take it
    const lua_State *main; // of the state that it belongs to
};

// Adds `runtime` to the table on top.
void runtime_open(lua_State *L);

// Raises for what is none, or closed.
struct runtime *runtime_check(lua_State *L, int index);

// Options of an open: a table at `index`, or nothing.
e64_open_options runtime_options(lua_State *L, int index);

// Pushes the userdata, for which it needs no memory; false (and nil) when there
// is none any more.
bool runtime_push(lua_State *L, const struct runtime *runtime);

// ------------------------------------------------------------------ hooks.c

// runtime:hook(name, function or nil)
int hooks_set(lua_State *L);

// From now on they fail: the state is being closed, or nobody can call them.
void hooks_end(struct runtime *runtime);

// ------------------------------------------------------------------- hook_*.c

enum hook_change { HOOK_NONE, HOOK_SET, HOOK_END };

void hook_search(struct runtime *runtime, enum hook_change change);
void hook_accept_plugin(struct runtime *runtime, enum hook_change change);
void hook_order_plugins(struct runtime *runtime, enum hook_change change);
void hook_verify_image(struct runtime *runtime, enum hook_change change);
void hook_resolve_import(struct runtime *runtime, enum hook_change change);
void hook_scope_plugin(struct runtime *runtime, enum hook_change change);
void hook_event(struct runtime *runtime, enum hook_change change);

#endif
