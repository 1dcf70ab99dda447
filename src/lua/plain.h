// Numbers and booleans between Lua and C: what comes most often in calls, and
// is not worth one of its own. value.c says what the rules are.

#ifndef LUA_PLAIN_H
#define LUA_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lua.h>

#include "call/shape.h"

static inline bool plain_within(enum call_kind kind, lua_Integer value)
{
    switch (kind) {
    case CALL_INT8:
        return value == (int8_t)value;
    case CALL_UINT8:
        return value == (uint8_t)value;
    case CALL_INT16:
        return value == (int16_t)value;
    case CALL_UINT16:
        return value == (uint16_t)value;
    case CALL_INT32:
        return value == (int32_t)value;
    case CALL_UINT32:
        return value == (uint32_t)value;
    default:
        return true;
    }
}

// Takes the value at `index` if it is just what the kind is; integers are
// extended to 64 bits. Where it answers false it is for value_store.
static inline bool plain_take(lua_State *L, int index, enum call_kind kind,
                              union call_value *value)
{
    switch (kind) {
    case CALL_INT8:
    case CALL_UINT8:
    case CALL_INT16:
    case CALL_UINT16:
    case CALL_INT32:
    case CALL_UINT32:
    case CALL_INT64:
    case CALL_UINT64:
        if (!lua_isinteger(L, index))
            return false;
        value->integer = lua_tointegerx(L, index, NULL);
        return plain_within(kind, value->integer);
    case CALL_DOUBLE:
        value->number = lua_tonumberx(L, index, NULL);
        return lua_type(L, index) == LUA_TNUMBER;
    case CALL_FLOAT:
        value->single = (float)lua_tonumberx(L, index, NULL);
        return lua_type(L, index) == LUA_TNUMBER;
    case CALL_BOOL:
        value->integer = lua_toboolean(L, index);
        return lua_type(L, index) == LUA_TBOOLEAN;
    default:
        return false;
    }
}

// Pushes what a cell holds; false where that is for value_push.
static inline bool plain_push(lua_State *L, enum call_kind kind,
                              const void *cell)
{
    union call_value value;
    switch (kind) {
    case CALL_INT32:
        memcpy(&value, cell, sizeof(int32_t));
        lua_pushinteger(L, (int32_t)value.bits);
        return true;
    case CALL_INT64:
    case CALL_UINT64:
        memcpy(&value, cell, sizeof value.integer);
        lua_pushinteger(L, value.integer);
        return true;
    case CALL_DOUBLE:
        memcpy(&value, cell, sizeof value.number);
        lua_pushnumber(L, value.number);
        return true;
    default:
        return false;
    }
}

#endif
