// Symbols in Lua: what handle:lookup gives.

#ifndef LUA_SYMBOL_H
#define LUA_SYMBOL_H

#include <stdbool.h>

#include <lua.h>

#include "elf64load.h"
#include "run/run.h"

// The userdata. Its strings are copies: they outlive the plugin.
struct lua_symbol {
    e64_symbol symbol;
    e64_plugin *plugin; // the definer's record, held; NULL for the host's
    bool collected;     // finalisers of others may see it still
};

// "object", "function" and so on.
const char *symbol_kind_name(e64_kind kind);

// Adds `cfunction` to the table on top.
void symbol_open(lua_State *L);

// Pushes a symbol.
void symbol_push(lua_State *L, const e64_symbol *symbol);

// NULL for anything else, or raises.
struct lua_symbol *symbol_test(lua_State *L, int index);
struct lua_symbol *symbol_check(lua_State *L, int index);

// Whether the plugin that defines it has been stopped.
static inline bool symbol_gone(const struct lua_symbol *symbol)
{
    return symbol->collected
        || (symbol->plugin
            && atomic_load(&symbol->plugin->state) == E64_STATE_STOPPED);
}

// Raises if so.
void symbol_alive(lua_State *L, const struct lua_symbol *symbol);

#endif
