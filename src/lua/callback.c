// Lua functions that C can call. A callback is owned by what uses it: the value
// of elf.callback, the variable or memory that it was written to, or the call
// that it is an argument of. The collector frees it when nothing does.

#include <lauxlib.h>
#include <stdatomic.h>
#include <string.h>

#include "call/closure.h"
#include "lua/calling.h"
#include "lua/plain.h"
#include "lua/typed.h"

// The key in the registry of a weak table: userdata by the address of theirs.
static const char callbacks_key = 'c';

#define CALLBACK "elf64load.callback"

// Uservalue 1: the function; 2: the text that it answered last.
struct callback {
    struct call_closure *closure;
    const struct call_type *type;
    const lua_State *main;
    bool plain;  // its arguments are numbers and booleans
    bool pinned; // a runtime has given it to plugins
    atomic_ulong missed; // calls from threads that are in no call of its state
};

atomic_ulong callback_missed;

// ------------------------------------------------------------------- the call

// The arguments in place of "...", as the function's last argument.
struct rest {
    struct call_rest *rest; // NULL once the function has returned
};

// rest(ctype): the next one.
static int next_argument(lua_State *L)
{
    const struct rest *self = lua_touserdata(L, lua_upvalueindex(1));
    const struct call_type *type = ctype_check(L, 1, 0);
    union call_value value;
    if (!self->rest)
        return luaL_error(L, "the arguments of the callback are gone: it has "
                          "returned");
    if (type->kind == CALL_VOID || type->kind >= CALL_ARRAY)
        return luaL_error(L, "no argument can be of the type %s",
                          type->spelling);
    // A float comes as a double (C11 6.5.2.2p7).
    call_rest_next(self->rest, type->kind == CALL_FLOAT ? CALL_DOUBLE
                                                        : type->kind, &value);
    if (type->kind == CALL_FLOAT)
        lua_pushnumber(L, value.number);
    else
        value_push(L, type, &value);
    return 1;
}

static struct rest *push_rest(lua_State *L, struct call_rest *rest)
{
    struct rest *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->rest = rest;
    lua_pushcclosure(L, next_argument, 1);
    return self;
}

struct invocation {
    struct callback *callback;
    void *const *values;
    struct call_rest *rest;
    union call_value *result;
    struct rest *given; // to the function, or NULL
};

// Pushes the userdata, or what is not one when the collector has taken it and
// has not told it yet. Who calls may have a place on the stack for the callback
// that came last, as looking it up takes longer than calling it. Where other
// frames of the state have come in between, that index is something of theirs.
static void look_up(lua_State *L, struct calling *here,
                    const struct callback *callback, int top)
{
    int at = here->kept;
    bool ours = at && at <= top && lua_touserdata(L, at) == here->callback;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks_key);
    lua_rawgetp(L, -1, callback);
    if (!ours || lua_isnil(L, -1))
        return;
    lua_copy(L, -1, at);
    here->callback = callback;
}

// A Lua string is there until the function answers the next one.
static void store_result(lua_State *L, const struct callback *callback,
                         union call_value *result)
{
    const struct call_type *type = callback->type;
    const struct reference self = { .type = type, .count = CALL_UNBOUNDED };
    const struct value_place place = { .reference = &self, .result = true };
    value_store(L, -1, type->target, result, &place);
    if (lua_type(L, -1) == LUA_TSTRING)
        lua_setiuservalue(L, 1, 2);
}

// Runs protected, with the userdata and the invocation.
static int call(lua_State *L)
{
    struct invocation *invocation = lua_touserdata(L, 2);
    const struct callback *callback = invocation->callback;
    const struct call_type *type = callback->type;
    int count = (int)type->count;
    luaL_checkstack(L, count + 4, "too many arguments");
    lua_getiuservalue(L, 1, 1);
    for (int i = 0; i < count; i++)
        value_push(L, type->parameters[i], invocation->values[i]);
    if (invocation->rest) {
        invocation->given = push_rest(L, invocation->rest);
        count++;
    }
    bool answers = type->target->kind != CALL_VOID;
    lua_call(L, count, answers);
    if (answers)
        store_result(L, callback, invocation->result);
    return 0;
}

// Runs protected, with the userdata, the invocation and what was answered.
static int answer(lua_State *L)
{
    const struct invocation *invocation = lua_touserdata(L, 2);
    store_result(L, invocation->callback, invocation->result);
    return 0;
}

// With numbers alone nothing but the function can raise, and it is all that is
// called protected.
static int call_plain(lua_State *L, const struct invocation *invocation,
                      int at)
{
    const struct call_type *type = invocation->callback->type;
    enum call_kind kind = type->target->kind;
    int count = (int)type->count;
    lua_getiuservalue(L, at, 1);
    for (int i = 0; i < count; i++)
        if (!plain_push(L, type->parameters[i]->kind, invocation->values[i]))
            value_push(L, type->parameters[i], invocation->values[i]);
    int status = lua_pcall(L, count, kind != CALL_VOID, 0);
    if (status != LUA_OK || kind == CALL_VOID
        || plain_take(L, -1, kind, invocation->result))
        return status;
    lua_pushcfunction(L, answer);
    lua_pushvalue(L, at);
    lua_pushlightuserdata(L, (void *)invocation);
    lua_rotate(L, -4, -1);
    return lua_pcall(L, 3, 0, 0);
}

static int call_any(lua_State *L, struct invocation *invocation, int at)
{
    lua_pushcfunction(L, call);
    lua_pushvalue(L, at);
    lua_pushlightuserdata(L, invocation);
    int status = lua_pcall(L, 2, 0, 0);
    if (invocation->given)
        invocation->given->rest = NULL;
    return status;
}

static void miss(struct callback *self)
{
    atomic_fetch_add(&self->missed, 1);
    atomic_fetch_add(&callback_missed, 1);
}

static void run(lua_State *L, struct calling *here,
                struct invocation *invocation)
{
    struct callback *callback = invocation->callback;
    int top = lua_gettop(L), at = top;
    // In its place the callback was called before, and had room.
    if (here->kept != top || lua_touserdata(L, top) != callback) {
        // Without room on its stack it is as with a call from elsewhere.
        if (!lua_checkstack(L, (int)callback->type->count + LUA_MINSTACK)) {
            miss(callback);
            return;
        }
        look_up(L, here, callback, top);
        at = lua_gettop(L);
        if (lua_isnil(L, at)) {
            lua_settop(L, top);
            call_closure_came_late();
            return;
        }
    }
    int status = callback->plain ? call_plain(L, invocation, at)
                                 : call_any(L, invocation, at);
    if (status != LUA_OK) {
        memset(invocation->result, 0, sizeof *invocation->result);
        calling_raised(L);
    } else if (at == top && callback->type->target->kind == CALL_VOID) {
        return; // nothing is left
    }
    lua_settop(L, top);
}

static void visit(struct callback *self, struct invocation *invocation)
{
    struct calling here;
    if (!calling_visit(&here, self->main)) {
        miss(self);
        return;
    }
    run(here.L, &here, invocation);
    calling_depart(&here);
}

static void work(void *data, void *const *values, struct call_rest *rest,
                 union call_value *result)
{
    struct callback *self = data;
    struct invocation invocation = { self, values, rest, result, NULL };
    struct calling *here = calling;
    if (here && here->main == self->main)
        run(here->L, here, &invocation);
    else
        visit(self, &invocation);
}

// -------------------------------------------------------------------- reports

// A call into C is being left, which may have given out what nobody has taken
// yet: nothing of this may raise, and so it makes no strings of Lua's.

static void warn_of(lua_State *L, const char *first, const char *what,
                    const char *called, unsigned long count, const char *rest)
{
    char number[24];
    snprintf(number, sizeof number, "%lu", count);
    lua_warning(L, first, 1);
    lua_warning(L, what, 1);
    lua_warning(L, called, 1);
    lua_warning(L, number, 1);
    lua_warning(L, rest, 0);
}

static void report(lua_State *L, struct callback *callback)
{
    unsigned long count = atomic_exchange(&callback->missed, 0);
    if (!count)
        return;
    atomic_fetch_sub(&callback_missed, count);
    warn_of(L, "a callback '", callback->type->spelling, "' was called ",
            count, " times by a thread that is in no call from its Lua state, "
            "and answered zero");
}

static void report_missed(lua_State *L)
{
    // Else it is told of when there is room.
    if (!lua_checkstack(L, LUA_MINSTACK))
        return;
    const lua_State *own = calling_main(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks_key);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        struct callback *callback = lua_touserdata(L, -1);
        if (callback->main == own)
            report(L, callback);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void callback_report(lua_State *L)
{
    if (atomic_load(&callback_missed))
        report_missed(L);
    unsigned long late = atomic_exchange(&call_closure_late, 0);
    if (!late)
        return;
    warn_of(L, "callbacks", "", " were called ", late, " times after they had "
            "been collected, and answered zero: keep what elf.callback gives "
            "for as long as C calls it");
}

// --------------------------------------------------------------------- making

static int collect(lua_State *L)
{
    struct callback *self = luaL_checkudata(L, 1, CALLBACK);
    // The state is being closed, and plugins may call it still.
    if (self->pinned)
        call_closure_retire(self->closure);
    else
        call_closure_free(self->closure);
    self->closure = NULL;
    atomic_fetch_sub(&callback_missed, atomic_exchange(&self->missed, 0));
    return 0;
}

bool callback_wanted(lua_State *L, int index, const struct call_type *type)
{
    if (type->kind != CALL_POINTER || type->target->kind != CALL_FUNCTION)
        return false;
    if (lua_isfunction(L, index))
        return true;
    if (reference_test(L, index)
        || luaL_testudata(L, index, "elf64load.symbol")
        || luaL_getmetafield(L, index, "__call") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

static bool can_be_made(const struct call_type *function)
{
    if (function->target->kind >= CALL_ARRAY)
        return false;
    for (size_t i = 0; i < function->count; i++)
        if (function->parameters[i]->kind >= CALL_ARRAY)
            return false;
    return true;
}

static bool is_plain(const struct call_type *function)
{
    for (size_t i = 0; i < function->count; i++)
        if (function->parameters[i]->kind == CALL_POINTER)
            return false;
    return !function->variadic;
}

void callback_push(lua_State *L, int index, const struct call_type *function)
{
    index = lua_absindex(L, index);
    if (!can_be_made(function))
        luaL_error(L, "no callback can be '%s': structs are not passed by "
                   "value yet", function->spelling);
    struct callback *self = lua_newuserdatauv(L, sizeof *self, 2);
    *self = (struct callback){ .type = function, .main = calling_main(L),
                               .plain = is_plain(function) };
    luaL_setmetatable(L, CALLBACK);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    self->closure = call_closure_new(function, work, self);
    if (!self->closure)
        luaL_error(L, "not enough memory for a callback");
    // The collector does not see the closure's memory.
    if (lua_gc(L, LUA_GCISRUNNING))
        lua_gc(L, LUA_GCSTEP, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
    reference_push_callback(L, call_closure_entry(self->closure), function);
}

// elf.callback(ctype, function): a pointer to it.
int callback_make(lua_State *L, int scope)
{
    const struct call_type *type = ctype_check(L, scope + 1, scope);
    if (type->kind == CALL_POINTER)
        type = type->target;
    if (type->kind != CALL_FUNCTION)
        return luaL_argerror(L, scope + 1, lua_pushfstring(
            L, "%s is no function type", type->spelling));
    if (!lua_isfunction(L, scope + 2)
        && luaL_getmetafield(L, scope + 2, "__call") == LUA_TNIL)
        return luaL_typeerror(L, scope + 2, "function");
    callback_push(L, scope + 2, type);
    return 1;
}

static struct callback *check(lua_State *L, int index)
{
    const struct reference *reference = reference_check(L, index);
    luaL_argcheck(L, reference->origin == REFERENCE_CALLBACK, index,
                  "a callback expected");
    lua_getiuservalue(L, index, 1);
    return luaL_checkudata(L, -1, CALLBACK);
}

// typed.pin(callback, whether): a runtime has given it to plugins, or has taken
// it back.
static int pin(lua_State *L)
{
    check(L, 1)->pinned = lua_toboolean(L, 2);
    return 0;
}

// typed.cell(callback): the address of a pointer that is there as long as C may
// call it.
static int cell(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(intptr_t)
                    call_closure_cell(check(L, 1)->closure));
    return 1;
}

void callback_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "pin", pin },
        { "cell", cell },
        { NULL, NULL },
    };
    luaL_setfuncs(L, functions, 0);
    calling_open(L);
    if (luaL_newmetatable(L, CALLBACK)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &callbacks_key);
    }
    lua_pop(L, 1);
}
