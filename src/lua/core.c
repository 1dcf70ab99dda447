// elf64load.core: the C half of the module. Repeatable: a process may open it
// in many states, and many times in one.

#include <lauxlib.h>
#include <sys/auxv.h>

#include "bundle.h"
#include "failure.h"
#include "handle.h"
#include "peek.h"
#include "plan.h"
#include "run/run.h"
#include "runtime.h"
#include "searchers.h"
#include "symbol.h"
#include "typed.h"
#include "view.h"
#include "why.h"

// core.whence(address): a table, or nil and why not.
static int whence(lua_State *L)
{
    const void *address = (const void *)luaL_checkinteger(L, 1);
    e64_place place;
    e64_error error;
    if (e64_whence(address, &place, &error) != E64_OK)
        return failure_push(L, &error, 0);
    lua_newtable(L);
    lua_pushstring(L, place.file);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, (lua_Integer)place.base);
    lua_setfield(L, -2, "base");
    lua_pushboolean(L, place.plugin == NULL);
    lua_setfield(L, -2, "host");
    if (place.symbol) {
        lua_pushstring(L, place.symbol);
        lua_setfield(L, -2, "symbol");
        lua_pushstring(L, place.version);
        lua_setfield(L, -2, "version");
        lua_pushinteger(L, (const char *)address - (char *)place.address);
        lua_setfield(L, -2, "offset");
        lua_pushinteger(L, (lua_Integer)place.size);
        lua_setfield(L, -2, "size");
        lua_pushinteger(L, (lua_Integer)(intptr_t)place.address);
        lua_setfield(L, -2, "address");
    }
    return 1;
}

int luaopen_elf64load_core(lua_State *L)
{
    lua_newtable(L);
    symbol_open(L);
    handle_open(L);
    runtime_open(L);
    plan_open(L);
    searchers_open(L);
    peek_open(L);
    typed_open(L);
    view_open(L);
    why_open(L);
    lua_pushcfunction(L, whence);
    lua_setfield(L, -2, "whence");
    // The program runs with rights that its caller does not have.
    lua_pushboolean(L, getauxval(AT_SECURE) != 0);
    lua_setfield(L, -2, "secure");
    lua_pushstring(L, e64_version());
    lua_setfield(L, -2, "version");
    return 1;
}
