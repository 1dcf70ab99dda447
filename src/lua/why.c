// Why something is as it is, in Lua.

#include "why.h"

#include <lauxlib.h>

#include "elf64load.h"
#include "fields.h"
#include "handle.h"
#include "symbol.h"

// A visitor is called in the middle of a walk, which an error of Lua must not
// leave: it is kept until the walk has ended. The list is at the top.
struct walk {
    lua_State *L;
    lua_CFunction push; // with the visited at 1: a table
    bool failed;
};

static int add(struct walk *walk, const void *visited)
{
    lua_State *L = walk->L;
    lua_pushcfunction(L, walk->push);
    lua_pushlightuserdata(L, (void *)visited);
    lua_pushvalue(L, -3);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        walk->failed = true;
    return walk->failed;
}

static int finish(const struct walk *walk)
{
    return walk->failed ? lua_error(walk->L) : 1;
}

// The table that was made becomes the last of the list at 2.
static int append(lua_State *L)
{
    lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    return 0;
}

static int push_reason(lua_State *L)
{
    const e64_reason *reason = lua_touserdata(L, 1);
    lua_createtable(L, 0, 6);
    field_text(L, "kind", reason->name);
    field_text(L, "message", reason->message);
    field_text(L, "as", reason->as);
    field_text(L, "path", reason->path);
    field_text(L, "place", reason->place);
    field_text(L, "owner", reason->owner);
    if (reason->kind == E64_REASON_PROBE)
        field_text(L, "result", reason->result == E64_OK ? "taken"
                                : e64_status_name(reason->result));
    if (reason->number)
        field_number(L, "number", reason->number);
    return append(L);
}

static int visit_reason(void *data, const e64_reason *reason)
{
    return add(data, reason);
}

// core.reasons(handle): all that e64_why tells.
static int reasons(lua_State *L)
{
    e64_plugin *plugin = handle_check(L, 1);
    struct walk walk = { L, push_reason, false };
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    e64_why(plugin, visit_reason, &walk);
    return finish(&walk);
}

static int push_binding(lua_State *L)
{
    const e64_binding *binding = lua_touserdata(L, 1);
    e64_plugin_info info;
    lua_createtable(L, 0, 11);
    e64_plugin_describe(binding->wanter, &info);
    field_text(L, "wanter", info.path);
    field_text(L, "symbol", binding->symbol);
    field_text(L, "version", binding->version);
    field_text(L, "how", binding->how);
    field_text(L, "message", binding->message);
    field_text(L, "provider", binding->file);
    field_text(L, "provided", binding->provided);
    if (binding->file) {
        field_text(L, "kind", symbol_kind_name(binding->kind));
        field_boolean(L, "host", binding->plugin == NULL);
    }
    if (binding->address)
        field_number(L, "address", (uintptr_t)binding->address);
    lua_newtable(L);
    for (size_t i = 0; binding->others[i]; i++) {
        lua_pushstring(L, binding->others[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "others");
    return append(L);
}

static int visit_binding(void *data, const e64_binding *binding)
{
    return add(data, binding);
}

// plugin:bindings(symbol or nil)
static int bindings(lua_State *L)
{
    e64_plugin *plugin = handle_check(L, 1);
    const char *symbol = luaL_optstring(L, 2, NULL);
    struct walk walk = { L, push_binding, false };
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    e64_bindings(plugin, symbol, visit_binding, &walk);
    return finish(&walk);
}

void why_open(lua_State *L)
{
    lua_pushcfunction(L, reasons);
    lua_setfield(L, -2, "reasons");
    lua_getfield(L, -1, "methods");
    lua_pushcfunction(L, bindings);
    lua_setfield(L, -2, "bindings");
    lua_pop(L, 1);
}
