// Numbers and booleans between Lua and C: what comes most often in calls, and
// is not worth one of its own. value.c says what the rules are.

#ifndef LUA_PLAIN_H
#define LUA_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lua.h>

#include "call/shape.h"

// The values of integers narrower than 64 bits, from the least one on.
static inline bool plain_within(enum call_kind kind, lua_Integer value)
{
    static const struct {
        int64_t least;
        uint64_t span;
    } ranges[] = {
        [CALL_INT8] = { INT8_MIN, UINT8_MAX },
        [CALL_UINT8] = { 0, UINT8_MAX },
        [CALL_INT16] = { INT16_MIN, UINT16_MAX },
        [CALL_UINT16] = { 0, UINT16_MAX },
        [CALL_INT32] = { INT32_MIN, UINT32_MAX },
        [CALL_UINT32] = { 0, UINT32_MAX },
        [CALL_INT64] = { 0, UINT64_MAX },
        [CALL_UINT64] = { 0, UINT64_MAX },
    };
    return (uint64_t)value - (uint64_t)ranges[kind].least <= ranges[kind].span;
}

// Takes the value at `index` if it is just what the kind is; integers are
// extended to 64 bits. Where it answers false it is for value_store.
static inline bool plain_take(lua_State *L, int index, enum call_kind kind,
                              union call_value *value)
{
    if (CALL_INT8 <= kind && kind <= CALL_UINT64) {
        if (!lua_isinteger(L, index))
            return false;
        value->integer = lua_tointegerx(L, index, NULL);
        return plain_within(kind, value->integer);
    }
    int type = lua_type(L, index);
    if (type == LUA_TNUMBER && kind == CALL_DOUBLE)
        value->number = lua_tonumberx(L, index, NULL);
    else if (type == LUA_TNUMBER && kind == CALL_FLOAT)
        value->single = (float)lua_tonumberx(L, index, NULL);
    else if (type == LUA_TBOOLEAN && kind == CALL_BOOL)
        value->integer = lua_toboolean(L, index);
    else
        return false;
    return true;
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
