// Handles in Lua. Several may stand for one plugin and are then equal.

#include "handle.h"

#include <lauxlib.h>
#include <string.h>

#include "calling.h"
#include "failure.h"
#include "fields.h"
#include "object.h"
#include "run/run.h"
#include "symbol.h"

#define HANDLE "elf64load.plugin"

// The key in the registry is its address.
static const char missing_key = 'm';

struct handle {
    // The record, held; NULL once the handle is collected, which finalisers of
    // others may see when the state is closed.
    e64_plugin *plugin;
    bool counted;       // stands for an open
    bool closed;
};

static const char *const states[] = {
    [E64_STATE_MAPPED] = "mapped",
    [E64_STATE_STARTING] = "starting",
    [E64_STATE_STARTED] = "started",
    [E64_STATE_STOPPING] = "stopping",
    [E64_STATE_STOPPED] = "stopped",
    [E64_STATE_HOST] = "host",
};

struct handle *handle_push(lua_State *L, int runtime)
{
    runtime = lua_absindex(L, runtime);
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);
    *handle = (struct handle){ NULL, false, true };
    luaL_setmetatable(L, HANDLE);
    lua_pushvalue(L, runtime);
    lua_setiuservalue(L, -2, 1);
    return handle;
}

void handle_set(struct handle *handle, e64_plugin *plugin, bool counted)
{
    plugin_hold(plugin);
    plugin_drop(handle->plugin);
    *handle = (struct handle){ plugin, counted, false };
}

static struct handle *any_handle(lua_State *L, int index)
{
    return luaL_checkudata(L, index, HANDLE);
}

static const char *path_of(const struct handle *handle)
{
    return handle->plugin ? handle->plugin->unit.object.name : "a plugin";
}

static bool is_closed(const struct handle *handle)
{
    return handle->closed || !handle->plugin
        || atomic_load(&handle->plugin->state) == E64_STATE_STOPPED;
}

bool handle_test(lua_State *L, int index)
{
    return luaL_testudata(L, index, HANDLE) != NULL;
}

e64_plugin *handle_check(lua_State *L, int index)
{
    struct handle *handle = any_handle(L, index);
    if (is_closed(handle))
        luaL_error(L, "closed: the handle of %s has been closed",
                   path_of(handle));
    return handle->plugin;
}

struct handle *handle_check_own(lua_State *L, int index)
{
    struct handle *handle = any_handle(L, index);
    handle_check(L, index);
    if (!handle->counted)
        luaL_error(L, "the handle of %s was not given by an open, and cannot "
                   "be closed", path_of(handle));
    return handle;
}

static int close(lua_State *L)
{
    struct handle *handle = handle_check_own(L, 1);
    e64_error error;
    struct calling here;
    handle->closed = true;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_close(handle->plugin, &error);
    handle->closed = status == E64_OK;
    calling_leave(&here);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushboolean(L, true);
    return 1;
}

// A scope's end closes what the scope has not closed itself. It has nowhere to
// answer that this was refused.
static int end_scope(lua_State *L)
{
    struct handle *handle = any_handle(L, 1);
    struct calling here;
    e64_error error;
    if (is_closed(handle) || !handle->counted)
        return 0;
    handle->closed = true;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_close(handle->plugin, &error);
    handle->closed = status != E64_INUSE;
    calling_leave(&here);
    calling_rethrow(L, &here);
    return status != E64_INUSE ? 0 : luaL_error(L, "inuse: %s", error.message);
}

// Collecting a handle unloads nothing: the runtime keeps the plugin.
static int collect(lua_State *L)
{
    struct handle *handle = any_handle(L, 1);
    plugin_drop(handle->plugin);
    handle->plugin = NULL;
    return 0;
}

static int describe(lua_State *L)
{
    const struct handle *handle = any_handle(L, 1);
    lua_pushfstring(L, "plugin %s%s", path_of(handle),
                    is_closed(handle) ? " (closed)" : "");
    return 1;
}

static int equal(lua_State *L)
{
    const struct handle *a = luaL_testudata(L, 1, HANDLE);
    const struct handle *b = luaL_testudata(L, 2, HANDLE);
    lua_pushboolean(L, a && b && a->plugin == b->plugin);
    return 1;
}

static int add_pin(void *data, const e64_pin *pin)
{
    lua_State *L = data;
    lua_createtable(L, 0, 5);
    field_text(L, "kind", pin->name);
    field_text(L, "message", pin->message);
    if (pin->number)
        field_number(L, "number", pin->number);
    if (pin->address)
        field_number(L, "address", (uintptr_t)pin->address);
    if (pin->plugin)
        field_text(L, "path", pin->plugin->unit.object.name);
    field_append(L);
    return 0;
}

// Of a closed handle, too: the plugin may be waiting.
static int pins(lua_State *L)
{
    const struct handle *handle = any_handle(L, 1);
    lua_newtable(L);
    if (handle->plugin)
        e64_pins(handle->plugin, add_pin, L);
    return 1;
}

// core.granted(handle): the table of what its runtime has given to plugins.
static int granted(lua_State *L)
{
    any_handle(L, 1);
    if (lua_getiuservalue(L, 1, 1) != LUA_TUSERDATA)
        return 0;
    lua_getiuservalue(L, -1, 2);
    return 1;
}

static int start(lua_State *L)
{
    e64_plugin *plugin = handle_check(L, 1);
    struct calling here;
    e64_error error;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_start(plugin, &error);
    calling_leave(&here);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushvalue(L, 1);
    return 1;
}

// core.missing(function): is asked for names that plugins do not define, with
// handle and name. It answers as `lookup` does, or nothing.
static int set_missing(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &missing_key);
    return 0;
}

// The number of values that it answered.
static int ask_missing(lua_State *L)
{
    int top = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &missing_key) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return 0;
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, LUA_MULTRET);
    return lua_gettop(L) - top;
}

// A string of which C sees all.
static const char *check_text(lua_State *L, int index)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    luaL_argcheck(L, strlen(text) == length, index,
                  "there is a zero byte in it");
    return text;
}

// Of the handle at 1 the name at 2, of the version at 3 if there is one.
static int look_up(lua_State *L, e64_plugin *plugin)
{
    const char *name = check_text(L, 2);
    const char *version = lua_isnoneornil(L, 3) ? NULL : check_text(L, 3);
    e64_symbol symbol;
    struct calling here;
    e64_error error;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_lookup(plugin, name, version, &symbol, &error);
    calling_leave(&here);
    calling_rethrow(L, &here);
    if (status == E64_OK) {
        symbol_push(L, &symbol);
        return 1;
    }
    int answers = 0;
    if (error.status == E64_UNDEFINED && !version)
        answers = ask_missing(L);
    return answers ? answers : failure_push(L, &error, 0);
}

static int lookup(lua_State *L)
{
    return look_up(L, handle_check(L, 1));
}

// core.find(handle, name): the same for a namespace, which lives as long as the
// plugin and not as long as the handle that it was asked of.
static int find(lua_State *L)
{
    const struct handle *handle = any_handle(L, 1);
    e64_plugin *plugin = handle->plugin;
    if (!plugin || atomic_load(&plugin->state) == E64_STATE_STOPPED)
        return luaL_error(L, "closed: %s has been stopped", path_of(handle));
    return look_up(L, plugin);
}

// core.symbol(handle, name, kind, address, size): one that the plugin has
// though its own tables do not, or not by that name.
static int make_symbol(lua_State *L)
{
    static const char *const kinds[] = { "object", "function", NULL };
    const struct handle *handle = any_handle(L, 1);
    e64_symbol symbol = {
        .name = luaL_checkstring(L, 2),
        .kind = luaL_checkoption(L, 3, NULL, kinds) ? E64_KIND_FUNCTION
                                                    : E64_KIND_OBJECT,
        .address = (void *)luaL_checkinteger(L, 4),
        .size = (uint64_t)luaL_checkinteger(L, 5),
        .plugin = handle->plugin,
        .file = path_of(handle),
    };
    symbol_push(L, &symbol);
    return 1;
}

static int add_symbol(void *data, const e64_symbol *symbol)
{
    lua_State *L = data;
    symbol_push(L, symbol);
    field_append(L);
    return 0;
}

static int symbols(lua_State *L)
{
    e64_plugin *plugin = handle_check(L, 1);
    lua_newtable(L);
    e64_symbols(plugin, add_symbol, L);
    return 1;
}

static int relocations(lua_State *L)
{
    e64_count counts[LINK_TYPES + 1];
    size_t count = e64_relocations(handle_check(L, 1), counts, LINK_TYPES + 1);
    lua_newtable(L);
    for (size_t i = 0; i < count; i++)
        field_number(L, counts[i].name, counts[i].count);
    return 1;
}

// What DT_NEEDED stands for: { path =, host = } in file order.
static void push_needs(lua_State *L, const e64_plugin *plugin)
{
    lua_newtable(L);
    for (uint32_t i = 0; i < plugin->need_count; i++) {
        lua_newtable(L);
        field_text(L, "path", plugin->needs[i]->name);
        field_boolean(L, "host", plugin->needs[i]->host);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_times(lua_State *L, const e64_times *times)
{
    const struct { const char *name; uint64_t value; } all[] = {
        { "discover", times->discover }, { "map", times->map },
        { "resolve", times->resolve }, { "apply", times->apply },
        { "ifunc", times->ifunc }, { "start", times->start },
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        field_number(L, all[i].name, all[i].value);
}

// What a handle tells of its plugin. Name, path and state also once it is
// closed.
static bool push_field(lua_State *L, const struct handle *handle,
                       const char *field)
{
    e64_plugin_info info;
    bool closed = is_closed(handle);
    if (!handle->plugin)
        return false;
    e64_plugin_describe(handle->plugin, &info);
    if (strcmp(field, "name") == 0)
        lua_pushstring(L, info.name);
    else if (strcmp(field, "path") == 0)
        lua_pushstring(L, info.path);
    else if (strcmp(field, "state") == 0)
        lua_pushstring(L, closed ? "closed" : states[info.state]);
    else if (strcmp(field, "generation") == 0)
        lua_pushinteger(L, (lua_Integer)info.generation);
    else if (closed)
        return false;
    else if (strcmp(field, "soname") == 0)
        lua_pushstring(L, info.soname);
    else if (strcmp(field, "base") == 0)
        lua_pushinteger(L, (lua_Integer)info.base);
    else if (strcmp(field, "handles") == 0)
        lua_pushinteger(L, info.handles);
    else if (strcmp(field, "segments") == 0)
        lua_pushinteger(L, info.segments);
    else if (strcmp(field, "imports") == 0)
        lua_pushinteger(L, (lua_Integer)e64_imports(handle->plugin));
    else if (strcmp(field, "tls") == 0 && info.tls_module)
        lua_pushinteger(L, (lua_Integer)info.tls_module);
    else if (strcmp(field, "needs") == 0)
        push_needs(L, handle->plugin);
    else if (strcmp(field, "times") == 0)
        push_times(L, &info.times);
    else
        return false;
    return true;
}

// Methods are in upvalue 1, where Lua adds its own.
static int get(lua_State *L)
{
    const struct handle *handle = any_handle(L, 1);
    const char *field = luaL_checkstring(L, 2);
    // None is called like a field; to describe the plugin takes longer.
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    return push_field(L, handle, field);
}

void handle_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "close", close },
        { "start", start },
        { "replace", object_replace },
        { "lookup", lookup },
        { "symbols", symbols },
        { "relocations", relocations },
        { NULL, NULL },
    };
    static const luaL_Reg events[] = {
        { "__gc", collect },
        { "__close", end_scope },
        { "__tostring", describe },
        { "__eq", equal },
        { NULL, NULL },
    };
    bool fresh = luaL_newmetatable(L, HANDLE);
    if (fresh) {
        luaL_setfuncs(L, events, 0);
        luaL_newlib(L, methods);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "methods");
        lua_pushcclosure(L, get, 1);
        lua_setfield(L, -2, "__index");
    }
    // core.methods: for what is written in Lua.
    lua_getfield(L, -1, "methods");
    lua_setfield(L, -3, "methods");
    lua_pop(L, 1);
    lua_pushcfunction(L, pins);
    lua_setfield(L, -2, "pins");
    lua_pushcfunction(L, granted);
    lua_setfield(L, -2, "granted");
    lua_pushcfunction(L, find);
    lua_setfield(L, -2, "find");
    lua_pushcfunction(L, make_symbol);
    lua_setfield(L, -2, "symbol");
    lua_pushcfunction(L, set_missing);
    lua_setfield(L, -2, "missing");
}
