// The hook `scope` of runtimes in Lua.

#include "asking.h"

#include <lauxlib.h>

#include "fields.h"
#include "handle.h"
#include "run/run.h"

struct scoping {
    e64_plugin *plugin;
    const e64_provider *providers;
    size_t count;
    e64_scope *scope;
    e64_error *error;
    e64_status status; // of an entry that could not be added
};

static void push_plugin(lua_State *L, const struct question *question,
                        e64_plugin *plugin)
{
    runtime_push(L, question->runtime);
    handle_set(handle_push(L, -1), plugin, false);
    lua_remove(L, -2);
}

// scope(plugin, default) -> a list of what `default` holds, and of plugins.
// `default` is a list of { path, plugin, object }, of which the last one tells
// them apart.
static int push_scope(lua_State *L, const struct question *question)
{
    const struct scoping *scoping = question->data;
    push_plugin(L, question, scoping->plugin);
    lua_createtable(L, (int)scoping->count, 0);
    for (size_t i = 0; i < scoping->count; i++) {
        const e64_provider *provider = &scoping->providers[i];
        lua_createtable(L, 0, 3);
        field_text(L, "path", provider->path);
        lua_pushlightuserdata(L, (void *)provider->object);
        lua_setfield(L, -2, "object");
        if (provider->plugin) {
            push_plugin(L, question, provider->plugin);
            lua_setfield(L, -2, "plugin");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 2;
}

// The entry on top.
static e64_provider provider_of(lua_State *L, lua_Integer place)
{
    e64_provider provider = { NULL, NULL, NULL };
    if (lua_type(L, -1) == LUA_TTABLE) {
        if (lua_getfield(L, -1, "object") == LUA_TLIGHTUSERDATA)
            provider.object = lua_touserdata(L, -1);
        lua_pop(L, 1);
    } else if (handle_test(L, -1)) {
        provider.plugin = handle_check(L, -1);
    }
    if (!provider.object && !provider.plugin)
        luaL_error(L, "the policy's 'scope' answered a %s in place %I; a "
                   "plugin, or one of the scope that it was given, expected",
                   luaL_typename(L, -1), place);
    return provider;
}

// Runs protected, with the answer at 2.
static int take_scope(lua_State *L)
{
    struct scoping *scoping = lua_touserdata(L, 1);
    if (lua_type(L, 2) != LUA_TTABLE)
        luaL_error(L, "the policy's 'scope' answered a %s; a list, or nil for "
                   "the scope as it is, expected", luaL_typename(L, 2));
    lua_Integer count = luaL_len(L, 2);
    for (lua_Integer i = 1; i <= count && scoping->status == E64_OK; i++) {
        lua_geti(L, 2, i);
        e64_provider provider = provider_of(L, i);
        scoping->status = e64_scope_add(scoping->scope, &provider,
                                        scoping->error);
        lua_pop(L, 1);
    }
    return 0;
}

static e64_status take(lua_State *L, struct question *question,
                       struct scoping *scoping)
{
    if (lua_isnil(L, -1))
        return E64_NOTFOUND;
    lua_pushcfunction(L, take_scope);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, scoping);
    lua_insert(L, -2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        return ask_raised(L, question, scoping->error);
    return scoping->status;
}

static e64_status scope(void *data, e64_runtime *self, e64_plugin *plugin,
                        const e64_provider *providers, size_t count,
                        e64_scope *made, e64_error *error)
{
    struct scoping scoping = { plugin, providers, count, made, error, E64_OK };
    struct question question = {
        .runtime = data, .hook = "scope", .about = plugin->unit.object.name,
        .push = push_scope, .answers = 1, .data = &scoping,
    };
    lua_State *L;
    (void)self;
    e64_status status = ask(&question, &L, error);
    if (status == E64_OK)
        status = take(L, &question, &scoping);
    asked(&question);
    return status;
}

static e64_status scope_ended(void *data, e64_runtime *self,
                              e64_plugin *plugin,
                              const e64_provider *providers, size_t count,
                              e64_scope *made, e64_error *error)
{
    (void)data, (void)self, (void)providers, (void)count, (void)made;
    return ask_ended("scope", plugin->unit.object.name, error);
}

void hook_scope_plugin(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->scope = change == HOOK_SET ? scope
                 : change == HOOK_END && hooks->scope ? scope_ended : NULL;
    hooks->scope_data = self;
}
