// Values between Lua and C. The rule is that a value arrives as it was given
// or not at all: what would lose digits, bits or its owner raises.

#include <lauxlib.h>
#include <string.h>

#include "lua/typed.h"

// ---------------------------------------------------------------------- faults

static void push_place(lua_State *L, const struct value_place *place)
{
    const struct reference *reference = place->reference;
    const char *name = reference->symbol ? reference->symbol->symbol.name
                                         : reference_spell(L, reference);
    if (place->result)
        lua_pushfstring(L, "result of callback '%s'", name);
    else if (place->argument)
        lua_pushfstring(L, "argument #%I to '%s'", place->number, name);
    else if (reference->single)
        lua_pushfstring(L, "value for '%s'", name);
    else
        lua_pushfstring(L, "value for element %I of '%s'", place->number,
                        name);
}

int value_fault(lua_State *L, const struct call_type *type,
                const struct value_place *place, const char *why)
{
    push_place(L, place);
    return luaL_error(L, "bad %s (%s expected, %s)", lua_tostring(L, -1),
                      type->spelling, why);
}

static int got(lua_State *L, int index, const struct call_type *type,
               const struct value_place *place)
{
    const char *name;
    if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
        name = lua_tostring(L, -1);
    else
        name = luaL_typename(L, index);
    return value_fault(L, type, place, lua_pushfstring(L, "got %s", name));
}

// -------------------------------------------------------------------- integers

// The names of an enum, for whoever misspelt one; not more than fit a line.
static int unknown_name(lua_State *L, const struct call_type *type,
                        const struct value_place *place, const char *name)
{
    luaL_Buffer names;
    luaL_buffinit(L, &names);
    for (size_t i = 0; i < type->enumerator_count; i++) {
        if (i == 12) {
            luaL_addstring(&names, ", ...");
            break;
        }
        luaL_addstring(&names, i ? ", " : "");
        luaL_addstring(&names, type->enumerators[i].name);
    }
    luaL_pushresult(&names);
    return value_fault(L, type, place,
                       lua_pushfstring(L, "'%s' is none of %s", name,
                                       lua_tostring(L, -1)));
}

static lua_Integer enumerator(lua_State *L, int index,
                              const struct call_type *type,
                              const struct value_place *place)
{
    const char *name = lua_tostring(L, index);
    for (size_t i = 0; i < type->enumerator_count; i++)
        if (strcmp(type->enumerators[i].name, name) == 0)
            return type->enumerators[i].value;
    return unknown_name(L, type, place, name);
}

static lua_Integer check_range(lua_State *L, lua_Integer value,
                               lua_Integer least, lua_Integer most,
                               const struct call_type *type,
                               const struct value_place *place)
{
    if (value < least || value > most)
        value_fault(L, type, place,
                    lua_pushfstring(L, "%I is not within %I and %I", value,
                                    least, most));
    return value;
}

static lua_Integer check_integer(lua_State *L, int index,
                                 const struct call_type *type,
                                 const struct value_place *place)
{
    if (lua_isinteger(L, index))
        return lua_tointegerx(L, index, NULL);
    // A text is no number, even if it looks like one.
    if (lua_type(L, index) == LUA_TSTRING && type->enumerators)
        return enumerator(L, index, type, place);
    if (lua_type(L, index) != LUA_TNUMBER)
        return got(L, index, type, place);
    int whole;
    lua_Integer value = lua_tointegerx(L, index, &whole);
    if (!whole)
        value_fault(L, type, place,
                    lua_pushfstring(L, "%f is not an integer of 64 bits",
                                    lua_tonumber(L, index)));
    return value;
}

// -------------------------------------------------------------------- pointers

static int wrong_pointer(lua_State *L, const struct reference *reference,
                         const struct call_type *type,
                         const struct value_place *place)
{
    const char *given = reference_spell(L, reference);
    if (reference->type->constant && !type->target->constant
        && call_points(call_const(ctype_pool(L), type->target),
                       reference->type))
        given = lua_pushfstring(L, "%s, which must not be written; elf.cast "
                                "overrides that", given);
    return value_fault(L, type, place, lua_pushfstring(L, "got %s", given));
}

static int wrong_text(lua_State *L, const struct call_type *type,
                      const struct value_place *place)
{
    enum call_kind kind = type->target->kind;
    if (kind == CALL_INT8 || kind == CALL_UINT8 || kind == CALL_VOID)
        return value_fault(L, type, place,
                           "got string, which C must not write to; "
                           "elf.new(\"char\", text) makes a copy");
    return value_fault(L, type, place, "got string");
}

static void *check_userdata(lua_State *L, int index,
                            const struct call_type *type,
                            const struct value_place *place)
{
    const struct reference *reference = reference_test(L, index);
    if (reference) {
        reference_alive(L, reference);
        if (!call_points(type->target, reference->type))
            wrong_pointer(L, reference, type, place);
        return reference->address;
    }
    const struct lua_symbol *symbol =
        luaL_testudata(L, index, "elf64load.symbol");
    if (!symbol)
        got(L, index, type, place);
    // A symbol without a type is like a void *.
    symbol_alive(L, symbol);
    return symbol->symbol.address;
}

static void *check_pointer(lua_State *L, int index,
                           const struct call_type *type,
                           const struct value_place *place)
{
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return NULL;
    case LUA_TSTRING:
        if (!call_text(type->target))
            wrong_text(L, type, place);
        return (void *)lua_tostring(L, index);
    case LUA_TLIGHTUSERDATA:
        return lua_touserdata(L, index);
    case LUA_TUSERDATA:
        return check_userdata(L, index, type, place);
    default:
        got(L, index, type, place);
        return NULL;
    }
}

// ---------------------------------------------------------------------- to C

static lua_Number check_number(lua_State *L, int index,
                               const struct call_type *type,
                               const struct value_place *place)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        got(L, index, type, place);
    return lua_tonumber(L, index);
}

#define STORE(ctype, value) \
    do { \
        ctype stored = (ctype)(value); \
        memcpy(cell, &stored, sizeof stored); \
    } while (0)

#define STORE_WITHIN(ctype, least, most) \
    STORE(ctype, check_range(L, check_integer(L, index, type, place), least, \
                             most, type, place))

// Cells need not be aligned: C's packed data can be written too.
void value_store(lua_State *L, int index, const struct call_type *type,
                 void *cell, const struct value_place *place)
{
    switch (type->kind) {
    case CALL_BOOL:
        if (lua_type(L, index) != LUA_TBOOLEAN)
            got(L, index, type, place);
        STORE(bool, lua_toboolean(L, index));
        return;
    case CALL_INT8:
        STORE_WITHIN(int8_t, INT8_MIN, INT8_MAX);
        return;
    case CALL_UINT8:
        STORE_WITHIN(uint8_t, 0, UINT8_MAX);
        return;
    case CALL_INT16:
        STORE_WITHIN(int16_t, INT16_MIN, INT16_MAX);
        return;
    case CALL_UINT16:
        STORE_WITHIN(uint16_t, 0, UINT16_MAX);
        return;
    case CALL_INT32:
        STORE_WITHIN(int32_t, INT32_MIN, INT32_MAX);
        return;
    case CALL_UINT32:
        STORE_WITHIN(uint32_t, 0, UINT32_MAX);
        return;
    case CALL_INT64:
    case CALL_UINT64:
        STORE(int64_t, check_integer(L, index, type, place));
        return;
    case CALL_FLOAT:
        STORE(float, check_number(L, index, type, place));
        return;
    case CALL_DOUBLE:
        STORE(double, check_number(L, index, type, place));
        return;
    case CALL_LONGDOUBLE:
        STORE(long double, lua_isinteger(L, index)
                               ? (long double)lua_tointeger(L, index)
                               : check_number(L, index, type, place));
        return;
    case CALL_POINTER:
        STORE(void *, check_pointer(L, index, type, place));
        return;
    default:
        value_fault(L, type, place, "it cannot be assigned as a whole");
    }
}

// -------------------------------------------------------------------- from C

#define LOAD(ctype, push, as) \
    do { \
        ctype loaded; \
        memcpy(&loaded, cell, sizeof loaded); \
        push(L, (as)loaded); \
    } while (0)

void value_push(lua_State *L, const struct call_type *type, const void *cell)
{
    switch (type->kind) {
    case CALL_BOOL:
        LOAD(uint8_t, lua_pushboolean, int);
        return;
    case CALL_INT8:
        LOAD(int8_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_UINT8:
        LOAD(uint8_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_INT16:
        LOAD(int16_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_UINT16:
        LOAD(uint16_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_INT32:
        LOAD(int32_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_UINT32:
        LOAD(uint32_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_INT64:
    case CALL_UINT64:
        LOAD(int64_t, lua_pushinteger, lua_Integer);
        return;
    case CALL_FLOAT:
        LOAD(float, lua_pushnumber, lua_Number);
        return;
    case CALL_DOUBLE:
        LOAD(double, lua_pushnumber, lua_Number);
        return;
    case CALL_LONGDOUBLE:
        LOAD(long double, lua_pushnumber, lua_Number);
        return;
    case CALL_POINTER: {
        void *pointer;
        memcpy(&pointer, cell, sizeof pointer);
        reference_push_pointer(L, pointer, type->target);
        return;
    }
    default:
        lua_pushnil(L);
    }
}
