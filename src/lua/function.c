// Calling C functions. What is called, how many arguments it takes and what
// they look like was prepared with its type: a call converts, jumps, converts.

#include <lauxlib.h>
#include <string.h>

#include "call/guard.h"
#include "lua/calling.h"
#include "lua/plain.h"
#include "lua/typed.h"

static int wrong_count(lua_State *L, const struct reference *self, int given)
{
    const struct call_type *type = self->type;
    const char *name = self->symbol ? self->symbol->symbol.name
                                    : type->spelling;
    return luaL_error(L, "wrong number of arguments to '%s' (%s%d expected, "
                      "got %d): %s", name, type->variadic ? "at least " : "",
                      (int)type->count, given, reference_spell(L, self));
}

static int no_function(lua_State *L)
{
    return luaL_error(L, "'%s' is no function",
                      reference_spell(L, reference_check(L, 1)));
}

// What a Lua value is to C where the prototype says "...": C11 6.5.2.2p7, with
// integers as long, since that is what Lua's are.
static enum call_kind promote(lua_State *L, int index,
                              const struct value_place *place,
                              union call_value *value)
{
    static const struct call_type anything = {
        .kind = CALL_VOID, .constant = true, .spelling = "const void"
    };
    static const struct call_type pointer = {
        .kind = CALL_POINTER, .target = &anything,
        .spelling = "integer, float, boolean, string or pointer"
    };
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            value->integer = lua_tointeger(L, index);
            return CALL_INT64;
        }
        value->number = lua_tonumber(L, index);
        return CALL_DOUBLE;
    case LUA_TBOOLEAN:
        value->integer = lua_toboolean(L, index);
        return CALL_INT32;
    case LUA_TSTRING:
        value->pointer = (void *)lua_tostring(L, index);
        return CALL_POINTER;
    default:
        value_store(L, index, &pointer, value, place);
        return CALL_POINTER;
    }
}

// Raises when a plugin has been stopped that what stands there lies in.
static void check_alive(lua_State *L, int before)
{
    for (int at = 1; at < before; at++) {
        const struct reference *reference = reference_test(L, at);
        const struct lua_symbol *symbol = reference ? reference->symbol
                                                    : symbol_test(L, at);
        if (symbol)
            symbol_alive(L, symbol);
    }
}

// Converts an argument. Lua's stack keeps the texts and memory that it points
// to. A callback that is made for the call takes the place of its function
// there.
static void convert(lua_State *L, const struct reference *self, size_t i,
                    union call_value *value)
{
    const struct call_type *parameter = self->type->parameters[i];
    const struct value_place place = { .reference = self, .argument = true,
                                       .number = (lua_Integer)i + 1 };
    int at = (int)i + 2;
    if (callback_wanted(L, at, parameter)) {
        callback_push(L, at, parameter->target);
        lua_replace(L, at);
        // The collector has had a turn, and may have called who closes.
        check_alive(L, at);
    }
    value_store(L, at, parameter, value, &place);
    call_extend(parameter->kind, value);
}

// What stands in place of "..." decides how such a function is called. Not a
// part of function_call, which has its registers for itself.
static __attribute__((noinline)) const struct call_shape *
convert_variadic(lua_State *L, const struct reference *self, size_t count,
                 union call_value *values)
{
    const struct call_type *type = self->type;
    union call_value given[CALL_MOST_ARGUMENTS];
    unsigned char kinds[CALL_MOST_ARGUMENTS];
    size_t named = type->count;
    if (count < named || count > CALL_MOST_ARGUMENTS)
        wrong_count(L, self, (int)count);
    for (size_t i = 0; i < named; i++)
        convert(L, self, i, &given[i]);
    for (size_t i = named; i < count; i++) {
        const struct value_place place = { .reference = self, .argument = true,
                                           .number = (lua_Integer)i + 1 };
        kinds[i - named] = (unsigned char)promote(L, (int)i + 2, &place,
                                                  &given[i]);
    }
    const struct call_shape *shape =
        call_shape_variadic(ctype_pool(L), type, kinds, count);
    if (!shape)
        luaL_error(L, "not enough memory for a C call");
    for (size_t i = 0; i < count; i++)
        values[shape->arguments[i].place] = given[i];
    return shape;
}

int function_call(lua_State *L)
{
    const struct reference *self = reference_test(L, 1);
    size_t count = (size_t)lua_gettop(L) - 1;
    if (!self || self->type->kind != CALL_FUNCTION)
        return no_function(L);
    reference_alive(L, self);

    union call_value result, values[CALL_MOST_ARGUMENTS];
    const struct call_shape *shape = self->shape;
    if (!shape)
        shape = convert_variadic(L, self, count, values);
    else if (count != shape->count)
        return wrong_count(L, self, (int)count);
    else
        for (size_t i = 0; i < count; i++) {
            struct call_argument argument = shape->arguments[i];
            union call_value *value = &values[argument.place];
            int at = (int)i + 2;
            if (argument.text && lua_type(L, at) == LUA_TSTRING)
                value->pointer = (void *)lua_tostring(L, at);
            else if (!plain_take(L, at, argument.kind, value))
                convert(L, self, i, value);
        }

    struct calling here;
    calling_enter(&here, L, self->main);
    // The place for the callback that C calls last; until then it is marked.
    lua_pushlightuserdata(L, &here);
    here.kept = (int)count + 2;
    here.callback = &here;
    struct _Unwind_Exception *exception =
        call_invoke(shape, (void (*)(void))self->address, &result, values);
    calling_leave(&here);
    if (exception)
        return thrown_raise(L, exception);
    if (here.raised)
        calling_rethrow(L, &here);
    if (shape->result == CALL_VOID)
        return 0;
    if (!plain_push(L, shape->result, &result))
        value_push(L, self->type->target, &result);
    return 1;
}

int typed_call(lua_State *L)
{
    const struct lua_symbol *symbol = symbol_check(L, 1);
    const char *name = symbol->symbol.name;
    symbol_alive(L, symbol);
    if (symbol->symbol.kind == E64_KIND_OBJECT
        || symbol->symbol.kind == E64_KIND_TLS)
        return luaL_error(L, "'%s' is a variable and has no type yet: "
                          "p:cdef \"extern int %s;\" gives it one",
                          name, name);
    return luaL_error(L, "'%s' has no type yet: p:cdef \"void %s(void);\" "
                      "gives it one", name, name);
}
