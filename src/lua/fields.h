// Fields of the table on top of the stack.

#ifndef LUA_FIELDS_H
#define LUA_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

// What is NULL is left out.
static inline void field_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static inline void field_number(lua_State *L, const char *name, uint64_t number)
{
    lua_pushinteger(L, (lua_Integer)number);
    lua_setfield(L, -2, name);
}

static inline void field_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

// A list of texts that ends with NULL; left out when it is NULL itself.
static inline void field_texts(lua_State *L, const char *name,
                               const char *const *texts)
{
    if (!texts)
        return;
    lua_newtable(L);
    for (lua_Integer i = 0; texts[i]; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, name);
}

// Adds the value on top to the list below it.
static inline void field_append(lua_State *L)
{
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

#endif
