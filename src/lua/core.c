// elf64load.core: the C half of the module. Repeatable: a process may open it
// in many states, and many times in one.

#include <lauxlib.h>
#include <sys/auxv.h>

#include "bundle.h"
#include "failure.h"
#include "fields.h"
#include "handle.h"
#include "peek.h"
#include "plan.h"
#include "run/run.h"
#include "runtime.h"
#include "searchers.h"
#include "stamp.h"
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
    field_text(L, "path", place.file);
    field_number(L, "base", place.base);
    field_boolean(L, "host", place.plugin == NULL);
    if (place.symbol) {
        field_text(L, "symbol", place.symbol);
        field_text(L, "version", place.version);
        lua_pushinteger(L, (const char *)address - (char *)place.address);
        lua_setfield(L, -2, "offset");
        field_number(L, "size", place.size);
        field_number(L, "address", (uintptr_t)place.address);
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
    stamp_open(L);
    typed_open(L);
    view_open(L);
    why_open(L);
    lua_pushcfunction(L, whence);
    lua_setfield(L, -2, "whence");
    // The program runs with rights that its caller does not have.
    field_boolean(L, "secure", getauxval(AT_SECURE) != 0);
    field_text(L, "version", e64_version());
    return 1;
}
