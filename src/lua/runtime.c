// Runtimes in Lua. Their hooks run in the call that entered from the script.

#include "runtime.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "calling.h"
#include "error.h"
#include "failure.h"
#include "handle.h"
#include "memory.h"
#include "run/run.h"
#include "source.h"

#define RUNTIME "elf64load.runtime"

struct entry {
    struct entry *outer;
    struct calling calling;
    lua_State *L;
    int self;
    int cause; // stack index of what a hook raised, or 0
    struct lua_reader reader;
};

// Uservalue 1: the search function, or nil.
struct runtime {
    e64_runtime *runtime; // NULL once it is closed
    // The call that entered: whose state, and where in its stack the userdata,
    // what a hook raised and what a hook answered lie.
    struct entry *entry;
    // The same for another call from Lua that led here: of a plugin's function
    // that asks dlopen, of a runtime whose plugin does.
    struct entry within;
    const lua_State *main; // of the state that it belongs to
};

// The key in the registry of a weak table: userdata by the address of theirs.
static const char runtimes_key = 'r';

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

static struct runtime *check(lua_State *L, int index)
{
    struct runtime *runtime = luaL_checkudata(L, index, RUNTIME);
    if (!runtime->runtime)
        luaL_error(L, "closed: the runtime has been closed");
    return runtime;
}

static void set_field(lua_State *L, const char *name, const char *value)
{
    if (value) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, name);
    }
}

// A wanter as the search sees it: { path, rpath, runpath, nodeflib, loader }.
static void push_wanter(lua_State *L, const e64_plugin *plugin)
{
    if (!plugin || !lua_checkstack(L, 4)) {
        lua_pushnil(L);
        return;
    }
    const struct elf_image *image = &plugin->unit.image;
    lua_newtable(L);
    set_field(L, "path", plugin->unit.object.name);
    if (image->rpath)
        set_field(L, "rpath", elf_string(&image->symbols, image->rpath));
    if (image->runpath)
        set_field(L, "runpath", elf_string(&image->symbols, image->runpath));
    lua_pushboolean(L, image->flags_1 & DF_1_NODEFLIB ? 1 : 0);
    lua_setfield(L, -2, "nodeflib");
    push_wanter(L, plugin->loader);
    lua_setfield(L, -2, "loader");
}

static void fill_error(e64_error *error, e64_status status, const char *name,
                       const char *text)
{
    fail(status, "%s: %s", name, text);
    error_give(status, error);
}

// Runs protected: search(name, wanter) -> path | source | nil, why, go on. What
// it answers stays on the stack.
static int call_search(lua_State *L)
{
    const char *name = lua_touserdata(L, 3);
    lua_pushvalue(L, 1);
    lua_pushstring(L, name);
    push_wanter(L, lua_touserdata(L, 4));
    lua_call(L, 2, 3);
    int type = lua_type(L, -3);
    if (type != LUA_TSTRING && type != LUA_TNIL && type != LUA_TTABLE)
        return luaL_error(L, "the search answered a %s; a path, a source, or "
                          "nil and why not expected", luaL_typename(L, -3));
    return 3;
}

static int check_source(lua_State *L)
{
    e64_source *source = lua_touserdata(L, 2);
    struct lua_reader *reader = lua_touserdata(L, 3);
    source_check(L, 1, source, reader);
    if (!source->read)
        lua_pushnil(L);
    return 1;
}

static int make_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

// Keeps what was raised for detail.error.
static e64_status raised(struct entry *entry, const char *name,
                         e64_error *error)
{
    lua_State *L = entry->L;
    // Making a text of what is none may raise, too.
    lua_pushcfunction(L, make_text);
    lua_pushvalue(L, -2);
    const char *text = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tostring(L, -1)
                                                       : NULL;
    fill_error(error, E64_HOOK, name, text ? text : "out of memory");
    lua_pop(L, 1);
    entry->cause = lua_gettop(L);
    return E64_HOOK;
}

static e64_status take_answer(struct entry *entry, const char *name,
                              e64_source *source, e64_error *error)
{
    lua_State *L = entry->L;
    int answer = lua_gettop(L) - 2;
    switch (lua_type(L, answer)) {
    case LUA_TSTRING:
        source->kind = E64_SOURCE_PATH;
        source->path = lua_tostring(L, answer);
        return E64_OK;
    case LUA_TTABLE:
        lua_pushcfunction(L, check_source);
        lua_pushvalue(L, answer);
        lua_pushlightuserdata(L, source);
        lua_pushlightuserdata(L, &entry->reader);
        if (lua_pcall(L, 3, 1, 0) != LUA_OK)
            return raised(entry, name, error);
        entry->reader.L = L;
        entry->reader.function = lua_gettop(L);
        return E64_OK;
    default:
        // nil without a reason leaves it to the loader's own search; one that
        // is to go on is told when that has found nothing.
        if (lua_toboolean(L, answer + 2))
            error->message = lua_tostring(L, answer + 1);
        else if (lua_type(L, answer + 1) == LUA_TSTRING)
            fill_error(error, E64_NOTFOUND, name, lua_tostring(L, answer + 1));
        if (!error->message || error->status != E64_OK)
            lua_settop(L, answer - 1);
        return E64_NOTFOUND;
    }
}

// The call from Lua that this thread is in, the innermost one. Within a call of
// something else, what a hook leaves on the stack goes when that returns.
static struct entry *find_entry(struct runtime *runtime)
{
    struct entry *entry = runtime->entry;
    if (!calling || calling->main != runtime->main)
        return NULL;
    if (entry && &entry->calling == calling)
        return entry;
    lua_State *L = calling->L;
    if (!lua_checkstack(L, 4))
        return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &runtimes_key);
    lua_rawgetp(L, -1, runtime);
    lua_remove(L, -2);
    runtime->within = (struct entry){ .L = L, .self = lua_gettop(L) };
    return &runtime->within;
}

static e64_status search(void *data, e64_runtime *self, const char *name,
                         e64_plugin *wanter, e64_source *source,
                         e64_error *error)
{
    struct runtime *runtime = data;
    struct entry *entry = find_entry(runtime);
    (void)self;
    if (!entry) {
        fill_error(error, E64_HOOK, name, "the search is a Lua function, and "
                   "this thread is not in a call from its Lua state");
        return E64_HOOK;
    }
    lua_State *L = entry->L;
    if (!lua_checkstack(L, 12)) {
        fill_error(error, E64_NOMEMORY, name, "no room on the Lua stack");
        return E64_NOMEMORY;
    }
    lua_pushcfunction(L, call_search);
    lua_getiuservalue(L, entry->self, 1);
    lua_pushnil(L);
    lua_pushlightuserdata(L, (void *)name);
    lua_pushlightuserdata(L, wanter);
    if (lua_pcall(L, 4, 3, 0) != LUA_OK)
        return raised(entry, name, error);
    return take_answer(entry, name, source, error);
}

static void enter(struct runtime *runtime, struct entry *entry, lua_State *L,
                  int self)
{
    *entry = (struct entry){ .outer = runtime->entry, .L = L, .self = self };
    runtime->entry = entry;
    calling_enter(&entry->calling, L);
}

static void leave(struct runtime *runtime, const struct entry *entry)
{
    runtime->entry = entry->outer;
    calling_leave(&entry->calling);
}

static bool flag(lua_State *L, int index, const char *field)
{
    lua_getfield(L, index, field);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static e64_open_options open_options(lua_State *L, int index)
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
    options.hold = lua_getfield(L, index, "start") == LUA_TBOOLEAN
                && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    return options;
}

// runtime:open(name, options)
static int open(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    e64_open_options options = open_options(L, 3);
    struct entry entry;
    e64_plugin *plugin;
    e64_error error;
    luaL_argcheck(L, *name, 2, "the name is empty; elf.host is the process");
    luaL_checkstack(L, 16, NULL);
    struct handle *handle = handle_push(L, 1);
    int place = lua_gettop(L);
    enter(runtime, &entry, L, 1);
    e64_status status = e64_open(runtime->runtime, name, &options, &plugin,
                                 &error);
    leave(runtime, &entry);
    if (status == E64_OK && entry.calling.raised)
        e64_close(plugin, NULL);
    calling_rethrow(L, &entry.calling);
    if (status != E64_OK)
        return failure_push(L, &error, entry.cause);
    handle_set(handle, plugin, true);
    lua_settop(L, place);
    return 1;
}

// runtime:load(source, name, options)
static int load(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    e64_open_options options = open_options(L, 4);
    struct entry entry;
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
    enter(runtime, &entry, L, 1);
    e64_status status = e64_load(runtime->runtime, &source, &options, &plugin,
                                 &error);
    leave(runtime, &entry);
    if (status == E64_OK && entry.calling.raised)
        e64_close(plugin, NULL);
    calling_rethrow(L, &entry.calling);
    if (status != E64_OK)
        return failure_push(L, &error, reader.cause ? reader.cause
                                                    : entry.cause);
    handle_set(handle, plugin, true);
    lua_settop(L, place);
    return 1;
}

static int host(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    struct handle *handle = handle_push(L, 1);
    e64_plugin *plugin;
    e64_error error;
    if (e64_host(runtime->runtime, &plugin, &error) != E64_OK)
        return failure_push(L, &error, 0);
    handle_set(handle, plugin, true);
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
    struct runtime *runtime = check(L, 1);
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

static int close(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    struct calling here;
    e64_error error;
    calling_enter(&here, L);
    e64_status status = e64_runtime_free(runtime->runtime, &error);
    calling_leave(&here);
    if (status == E64_OK)
        runtime->runtime = NULL;
    calling_rethrow(L, &here);
    if (status != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushboolean(L, true);
    return 1;
}

// Collecting a runtime unloads nothing, as with handles; but it will not be
// entered from this state again.
static int collect(lua_State *L)
{
    struct runtime *runtime = luaL_checkudata(L, 1, RUNTIME);
    if (!runtime->runtime)
        return 0;
    runtime->runtime->search = NULL;
    // One with nothing in it is of no use to anybody.
    if (!runtime->runtime->plugin_count
        && e64_runtime_free(runtime->runtime, NULL) == E64_OK)
        runtime->runtime = NULL;
    return 0;
}

// core.runtime(unload or nil)
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
    options.unload = (e64_unload)luaL_checkoption(L, 1, "wait", ways);
    struct runtime *runtime = lua_newuserdatauv(L, sizeof *runtime, 1);
    *runtime = (struct runtime){ .main = calling_main(L) };
    luaL_setmetatable(L, RUNTIME);
    remember(L, runtime);
    if (e64_runtime_new(&options, &runtime->runtime, &error) != E64_OK)
        return failure_push(L, &error, 0);
    return 1;
}

// runtime:search(function or nil): sets the hook.
static int set_search(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    if (!lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    runtime->runtime->search = lua_isnil(L, 2) ? NULL : search;
    runtime->runtime->search_data = runtime;
    lua_setiuservalue(L, 1, 1);
    return 0;
}

// runtime:path(templates or nil): what is searched first.
static int set_path(lua_State *L)
{
    struct runtime *runtime = check(L, 1);
    const char *path = luaL_optstring(L, 2, NULL);
    char *copy = path ? memory_copy(path) : NULL;
    if (path && !copy)
        return luaL_error(L, "out of memory for the path");
    memory_free(runtime->runtime->path);
    runtime->runtime->path = copy;
    return 0;
}

void runtime_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "open", open },
        { "load", load },
        { "host", host },
        { "plugins", plugins },
        { "search", set_search },
        { "path", set_path },
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
