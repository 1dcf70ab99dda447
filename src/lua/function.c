// Calling C functions. What is called, how many arguments it takes and what
// they look like was prepared with its type: a call converts, jumps, converts.

#include <lauxlib.h>
#include <string.h>

#include "call/guard.h"
#include "lua/calling.h"
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

// Converts what stands in place of "..." and finds how to call that.
static struct call_shape *convert_rest(lua_State *L,
                                       const struct call_type *type,
                                       size_t count,
                                       struct value_place *place,
                                       union call_value *values)
{
    unsigned char kinds[CALL_MOST_ARGUMENTS];
    size_t named = type->count;
    for (size_t i = named; i < count; i++) {
        place->number = (lua_Integer)i + 1;
        enum call_kind kind = promote(L, (int)i + 2, place, &values[i]);
        kinds[i - named] = (unsigned char)kind;
    }
    struct call_shape *shape =
        call_shape_variadic(ctype_pool(L), type, kinds, count);
    if (!shape)
        luaL_error(L, "not enough memory for a C call");
    return shape;
}

// reference_check, without its way through the registry.
static const struct reference *check_self(lua_State *L)
{
    const struct reference *self = lua_touserdata(L, 1);
    if (!self || !lua_getmetatable(L, 1)
        || !lua_rawequal(L, -1, lua_upvalueindex(1)))
        return reference_check(L, 1);
    return self;
}

struct invocation {
    const struct call_shape *shape;
    void (*entry)(void);
    union call_value *result, *values;
};

static void invoke(void *data)
{
    const struct invocation *call = data;
    call_invoke(call->shape, call->entry, call->result, call->values);
}

int function_call(lua_State *L)
{
    size_t count = (size_t)lua_gettop(L) - 1;
    const struct reference *self = check_self(L);
    const struct call_type *type = self->type;
    if (type->kind != CALL_FUNCTION)
        return luaL_error(L, "'%s' is no function",
                          reference_spell(L, self));
    reference_alive(L, self);
    if (type->variadic ? count < type->count || count > CALL_MOST_ARGUMENTS
                       : count != type->count)
        return wrong_count(L, self, (int)count);

    union call_value result, values[CALL_MOST_ARGUMENTS];
    struct value_place place = { .reference = self, .argument = true };
    for (size_t i = 0; i < type->count; i++) {
        const struct call_type *parameter = type->parameters[i];
        int at = (int)i + 2;
        place.number = (lua_Integer)i + 1;
        // It is there until the function returns.
        if (callback_wanted(L, at, parameter)) {
            callback_push(L, at, parameter->target);
            lua_replace(L, at);
        }
        value_store(L, at, parameter, &values[i], &place);
    }
    struct call_shape *shape = self->shape;
    if (type->variadic)
        shape = convert_rest(L, type, count, &place, values);

    // Lua's stack keeps the texts and memory that the arguments point to.
    struct invocation call = { shape, (void (*)(void))self->address, &result,
                               values };
    struct calling here;
    calling_enter(&here, L);
    // The place for the callback that C calls last; until then it is marked.
    lua_pushlightuserdata(L, &here);
    here.kept = lua_gettop(L);
    here.callback = &here;
    struct _Unwind_Exception *exception = guard_call(invoke, &call);
    calling_leave(&here);
    if (exception)
        return thrown_raise(L, exception);
    calling_rethrow(L, &here);
    if (type->target->kind == CALL_VOID)
        return 0;
    value_push(L, type->target, &result);
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
