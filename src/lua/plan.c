// Plans in Lua: made, looked at, committed, closed.

#include "plan.h"

#include <lauxlib.h>

#include "calling.h"
#include "failure.h"
#include "handle.h"
#include "runtime.h"

#define PLAN "elf64load.plan"

// Uservalues: the runtime; what to call before a commit; fields that have been
// asked for.
enum { RUNTIME_VALUE = 1, BEFORE_VALUE, FIELDS_VALUE };

struct plan {
    struct e64_plan *plan; // NULL once it is closed
};

int plan_new(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    e64_open_options options = runtime_options(L, 3);
    struct calling here;
    e64_error error;
    luaL_checktype(L, 4, LUA_TFUNCTION);
    luaL_checkstack(L, 16, NULL);
    struct plan *plan = lua_newuserdatauv(L, sizeof *plan, 3);
    int place = lua_gettop(L);
    plan->plan = NULL;
    luaL_setmetatable(L, PLAN);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, place, RUNTIME_VALUE);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, place, BEFORE_VALUE);
    lua_newtable(L);
    lua_setiuservalue(L, place, FIELDS_VALUE);
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_plan(runtime->runtime, name, &options,
                                 &plan->plan, &error);
    calling_leave(&here);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    lua_settop(L, place);
    return 1;
}

static const char *name_of(const struct plan *plan)
{
    e64_plan_info info;
    e64_plan_describe(plan->plan, &info);
    return info.name;
}

static struct plan *check(lua_State *L)
{
    struct plan *plan = luaL_checkudata(L, 1, PLAN);
    if (!plan->plan)
        luaL_error(L, "closed: the plan has been closed");
    return plan;
}

// plan:commit() -> handle
static int commit(lua_State *L)
{
    struct plan *plan = check(L);
    struct calling here;
    e64_plugin *plugin;
    e64_error error;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, BEFORE_VALUE);
    lua_call(L, 0, 0);
    check(L);
    lua_getiuservalue(L, 1, RUNTIME_VALUE);
    runtime_check(L, 2);
    luaL_checkstack(L, 16, NULL);
    struct handle *handle = handle_push(L, 2);
    // A hook may close it.
    struct e64_plan *own = plan->plan;
    plan->plan = NULL;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_plan_commit(own, &plugin, &error);
    calling_leave(&here);
    plan->plan = own;
    if (status == E64_OK && here.raised)
        e64_close(plugin, NULL);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    handle_set(handle, plugin, true);
    lua_settop(L, 3);
    return 1;
}

static int close(lua_State *L)
{
    struct plan *plan = check(L);
    e64_plan_free(plan->plan);
    plan->plan = NULL;
    lua_pushboolean(L, true);
    return 1;
}

// The end of a scope, or of the plan: closes what was not closed.
static int end(lua_State *L)
{
    struct plan *plan = luaL_checkudata(L, 1, PLAN);
    e64_plan_free(plan->plan);
    plan->plan = NULL;
    return 0;
}

static int describe(lua_State *L)
{
    const struct plan *plan = luaL_checkudata(L, 1, PLAN);
    if (plan->plan)
        lua_pushfstring(L, "plan of %s", name_of(plan));
    else
        lua_pushliteral(L, "plan (closed)");
    return 1;
}

// A field is made when it is asked for, and then kept. Upvalue 1: the methods.
static int get(lua_State *L)
{
    const struct plan *plan = luaL_checkudata(L, 1, PLAN);
    const char *field = luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    check(L);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, FIELDS_VALUE);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 3) != LUA_TNIL)
        return 1;
    if (!plan_field(L, plan->plan, field))
        return 1; // the nil
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 3);
    return 1;
}

void plan_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "commit", commit },
        { "close", close },
        { NULL, NULL },
    };
    static const luaL_Reg events[] = {
        { "__gc", end },
        { "__close", end },
        { "__tostring", describe },
        { NULL, NULL },
    };
    if (luaL_newmetatable(L, PLAN)) {
        luaL_setfuncs(L, events, 0);
        luaL_newlib(L, methods);
        lua_pushcclosure(L, get, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}
