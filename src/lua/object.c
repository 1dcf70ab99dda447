// Links object files and archives for Lua.

#include "object.h"

#include <lauxlib.h>

#include "calling.h"
#include "failure.h"
#include "handle.h"
#include "runtime.h"
#include "source.h"

// Sources of a list, and their readers.
struct list {
    e64_source *sources;
    struct lua_reader *readers;
    size_t count;
};

// What the sources need stays on the stack.
static struct list check_list(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    struct list list = { .count = lua_rawlen(L, index) };
    luaL_argcheck(L, list.count > 0, index, "there is nothing to link");
    luaL_argcheck(L, list.count < 100000, index, "too many sources");
    list.sources = lua_newuserdatauv(L, list.count * sizeof *list.sources, 0);
    list.readers = lua_newuserdatauv(L, list.count * sizeof *list.readers, 0);
    luaL_checkstack(L, (int)list.count * 2 + 16, "too many sources");
    for (size_t i = 0; i < list.count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        source_check(L, -1, &list.sources[i], &list.readers[i]);
    }
    return list;
}

int object_link_new(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    e64_open_options options = runtime_options(L, 3);
    struct calling here;
    e64_plugin *plugin;
    e64_error error;
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) {
        lua_getfield(L, 3, "name");
        options.name = luaL_optstring(L, -1, NULL);
    }
    struct list list = check_list(L, 2);
    struct handle *handle = handle_push(L, 1);
    int place = lua_gettop(L);
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_link(runtime->runtime, list.sources, list.count,
                                 &options, &plugin, &error);
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

int object_replace(lua_State *L)
{
    struct handle *handle = handle_check_own(L, 1);
    e64_plugin *plugin = handle_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    struct calling here;
    struct lua_reader reader;
    e64_source source;
    e64_error error;
    lua_settop(L, 3);
    luaL_checkstack(L, 16, NULL);
    source_check(L, 3, &source, &reader);
    calling_enter(&here, L, calling_main(L));
    e64_status status = e64_replace(&plugin, name, &source, &error);
    calling_leave(&here);
    if (status == E64_OK)
        handle_set(handle, plugin, true);
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, here.cause);
    lua_pushvalue(L, 1);
    return 1;
}
