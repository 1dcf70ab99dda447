// Runtimes in Lua. Their hooks run in the call that entered from the script.

#include "runtime.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "calling.h"
#include "error.h"
#include "failure.h"
#include "handle.h"
#include "object.h"
#include "plan.h"
#include "rules.h"
#include "run/run.h"
#include "source.h"

#define RUNTIME "elf64load.runtime"

// The key in the registry of a weak table: userdata by the address of theirs.
static const char runtimes_key = 'r';

// And of a table of those that have given something to plugins: it keeps them
// until they are closed.
static const char givers_key = 'g';

// Lets a runtime be found by its address, at -1.
static void remember(lua_State *L, const struct runtime *runtime)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &runtimes_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &runtimes_key);
    }
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, runtime);
    lua_pop(L, 1);
}

bool runtime_push(lua_State *L, const struct runtime *runtime)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &runtimes_key);
    bool found = lua_rawgetp(L, -1, runtime) != LUA_TNIL;
    lua_remove(L, -2);
    return found;
}

struct runtime *runtime_check(lua_State *L, int index)
{
    struct runtime *runtime = luaL_checkudata(L, index, RUNTIME);
    if (!runtime->runtime)
        luaL_error(L, "closed: the runtime has been closed");
    return runtime;
}

static bool flag(lua_State *L, int index, const char *field)
{
    lua_getfield(L, index, field);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

e64_open_options runtime_options(lua_State *L, int index)
{
    e64_open_options options = { .struct_size = sizeof options };
    if (lua_isnoneornil(L, index))
        return options;
    luaL_checktype(L, index, LUA_TTABLE);
    options.global = flag(L, index, "global");
    options.lazy = flag(L, index, "lazy");
    options.deepbind = flag(L, index, "deepbind");
    options.nodelete = flag(L, index, "nodelete");
    options.noload = flag(L, index, "noload");
    options.private_ = flag(L, index, "private");
    options.perf = flag(L, index, "perf");
    options.hold = lua_getfield(L, index, "start") == LUA_TBOOLEAN
                && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    return options;
}

// runtime:open(name, options)
static int open(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    e64_open_options options = runtime_options(L, 3);
    struct calling here;
    e64_plugin *plugin;
    e64_error error;
    luaL_checkstack(L, 16, NULL);
    struct handle *handle = handle_push(L, 1);
    int place = lua_gettop(L);
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_open(runtime->runtime, name, &options, &plugin,
                                 &error);
    calling_leave(&here);
    if (status == E64_OK && here.raised)
        e64_close(plugin, NULL);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    handle_set(handle, plugin, true);
    lua_settop(L, place);
    return 1;
}

// runtime:load(source, name, options)
static int load(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    e64_open_options options = runtime_options(L, 4);
    struct calling here;
    struct lua_reader reader;
    e64_source source;
    e64_plugin *plugin;
    e64_error error;
    lua_settop(L, 4);
    luaL_checkstack(L, 16, NULL);
    source_check(L, 2, &source, &reader);
    if (!lua_isnil(L, 3))
        source.name = luaL_checkstring(L, 3);
    struct handle *handle = handle_push(L, 1);
    int place = lua_gettop(L);
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_load(runtime->runtime, &source, &options, &plugin,
                                 &error);
    calling_leave(&here);
    if (status == E64_OK && here.raised)
        e64_close(plugin, NULL);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    handle_set(handle, plugin, true);
    lua_settop(L, place);
    return 1;
}

static int host(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    struct handle *handle = handle_push(L, 1);
    e64_plugin *plugin;
    e64_error error;
    if (e64_host(runtime->runtime, &plugin, &error) != E64_OK)
        return failure_push(L, &error, 0);
    // All who share the runtime share this handle, and nobody may end it.
    handle_set(handle, plugin, false);
    return 1;
}

// An error of Lua must not leave e64_plugins: the walk takes what fits into the
// handles that are there, and counts the rest.
struct taking {
    struct handle **handles;
    size_t room, count;
};

static int take_plugin(void *data, e64_plugin *plugin)
{
    struct taking *taking = data;
    if (plugin->process || plugin->gone)
        return 0;
    if (taking->count < taking->room)
        handle_set(taking->handles[taking->count], plugin, false);
    taking->count++;
    return 0;
}

// runtime:plugins(): all that is open, dependencies too, as mapped.
static int plugins(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    struct taking taking = { NULL, 0, 0 };
    // Others may be opened meanwhile.
    do {
        taking.room = taking.count + 4;
        lua_settop(L, 1);
        taking.handles = lua_newuserdatauv(
            L, taking.room * sizeof *taking.handles, 0);
        lua_createtable(L, (int)taking.room, 0);
        for (size_t i = 0; i < taking.room; i++) {
            taking.handles[i] = handle_push(L, 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        taking.count = 0;
        e64_plugins(runtime->runtime, take_plugin, &taking);
    } while (taking.count > taking.room);
    for (size_t i = taking.count; i < taking.room; i++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// runtime:given(): the table of what it has given to plugins, to be added to.
static int given(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &givers_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &givers_key);
    }
    lua_pushvalue(L, 1);
    lua_rawsetp(L, -2, runtime);
    runtime->gave = true;
    lua_getiuservalue(L, 1, 2);
    return 1;
}

// runtime:define { definitions = list }: all of it, or none.
static int define(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    size_t count;
    e64_error error;
    luaL_checktype(L, 2, LUA_TTABLE);
    const e64_definition *list = definitions_read(L, 2, "definitions", &count);
    if (count && e64_define_all(runtime->runtime, list, count, &error)
                     != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushboolean(L, true);
    return 1;
}

// runtime:undefine(name [, version])
static int undefine(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const char *version = luaL_optstring(L, 3, NULL);
    e64_error error;
    if (e64_undefine(runtime->runtime, name, version, &error) != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushboolean(L, true);
    return 1;
}

// runtime:close() -> true, whether plugins are left | nil, ...
static int close(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const e64_runtime *freed = runtime->runtime;
    struct calling here;
    e64_error error;
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_runtime_free(runtime->runtime, &error);
    calling_leave(&here);
    if (status == E64_OK)
        runtime->runtime = NULL;
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    bool left = runtime_remains(freed);
    if (!left && runtime->gave) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &givers_key);
        lua_pushnil(L);
        lua_rawsetp(L, -2, runtime);
    }
    lua_pushboolean(L, true);
    lua_pushboolean(L, left);
    return 2;
}

// Collecting a runtime unloads nothing, as with handles; but it will not be
// entered from this state again.
static int collect(lua_State *L)
{
    struct runtime *runtime = luaL_checkudata(L, 1, RUNTIME);
    if (!runtime->runtime)
        return 0;
    hooks_end(runtime);
    // One with nothing in it is of no use to anybody.
    if (!runtime->runtime->plugin_count
        && e64_runtime_free(runtime->runtime, NULL) == E64_OK)
        runtime->runtime = NULL;
    return 0;
}

// core.runtime({ unload =, force = } or nil)
static int new(lua_State *L)
{
    static const char *const ways[] = {
        [E64_UNLOAD_WAIT] = "wait",
        [E64_UNLOAD_REFUSE] = "refuse",
        [E64_UNLOAD_LEAK] = "leak",
        NULL,
    };
    e64_runtime_options options = { .struct_size = sizeof options };
    e64_error error;
    lua_settop(L, 1);
    if (!lua_isnil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        options.force = flag(L, 1, "force");
        options.lazy = flag(L, 1, "lazy");
        lua_getfield(L, 1, "unload");
        options.unload = (e64_unload)luaL_checkoption(L, 2, "wait", ways);
        rules_read(L, 1, &options);
    }
    struct runtime *runtime = lua_newuserdatauv(L, sizeof *runtime, 2);
    *runtime = (struct runtime){ .main = calling_main(L) };
    luaL_setmetatable(L, RUNTIME);
    for (int value = 1; value <= 2; value++) {
        lua_newtable(L);
        lua_setiuservalue(L, -2, value);
    }
    remember(L, runtime);
    if (e64_runtime_new(&options, &runtime->runtime, &error) != E64_OK)
        return failure_push(L, &error, 0);
    return 1;
}

// runtime:path(templates or nil): what is searched first.
static int set_path(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const char *path = luaL_optstring(L, 2, NULL);
    if (runtime_set_path(runtime->runtime, path) != E64_OK)
        return luaL_error(L, "out of memory for the path");
    return 0;
}

void runtime_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "open", open },
        { "load", load },
        { "link", object_link_new },
        { "plan", plan_new },
        { "host", host },
        { "plugins", plugins },
        { "hook", hooks_set },
        { "path", set_path },
        { "define", define },
        { "undefine", undefine },
        { "given", given },
        { "close", close },
        { NULL, NULL },
    };
    if (luaL_newmetatable(L, RUNTIME)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, new);
    lua_setfield(L, -2, "runtime");
}
