// Plans in Lua.

#ifndef LUA_PLAN_H
#define LUA_PLAN_H

#include <stdbool.h>

#include <lua.h>

#include "elf64load.h"

// core.plan's methods and fields.
void plan_open(lua_State *L);

// runtime:plan(name, options, before): `before` is called, without arguments,
// before the plan is committed.
int plan_new(lua_State *L);

// Pushes what a plan tells under that name; false when there is no such field.
bool plan_field(lua_State *L, const struct e64_plan *plan, const char *field);

#endif
