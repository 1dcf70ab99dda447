// The hooks of runtimes in Lua that are asked about plugins.

#include "asking.h"

#include <lauxlib.h>

#include "error.h"
#include "handle.h"
#include "run/run.h"

// A handle that lists the plugin: it has not been opened by this.
static void push_plugin(lua_State *L, const struct question *question,
                        e64_plugin *plugin)
{
    runtime_push(L, question->runtime);
    handle_set(handle_push(L, -1), plugin, false);
    lua_remove(L, -2);
}

// accept(plugin) -> true | nil, why
static int push_accepted(lua_State *L, const struct question *question)
{
    push_plugin(L, question, (e64_plugin *)question->data);
    return 1;
}

static e64_status accept(void *data, e64_runtime *self, e64_plugin *plugin,
                         e64_error *error)
{
    struct question question = {
        .runtime = data, .hook = "accept",
        .about = plugin->unit.object.name, .push = push_accepted,
        .answers = 2, .data = plugin,
    };
    (void)self;
    return ask_whether(&question, error);
}

static e64_status accept_ended(void *data, e64_runtime *self,
                               e64_plugin *plugin, e64_error *error)
{
    (void)data, (void)self;
    return ask_ended("accept", plugin->unit.object.name, error);
}

// What is defined or intercepted as a Lua function is gone with the state.
static e64_status given_ended(void *data, e64_runtime *self,
                              e64_plugin *plugin, e64_error *error)
{
    const struct question question = { .about = plugin->unit.object.name };
    (void)data, (void)self;
    return ask_failed(error, E64_HOOK, &question, "what its runtime defines "
                      "are Lua's functions and variables, and their Lua state "
                      "has been closed");
}

void hook_accept_plugin(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->accept = change == HOOK_SET ? accept
                  : change != HOOK_END ? NULL
                  : hooks->accept ? accept_ended
                  : self->gave ? given_ended : NULL;
    hooks->accept_data = self;
}

// -------------------------------------------------------------------- order

struct ordering {
    e64_plugin **plugins;
    size_t count;
};

// order(plugins) -> the same plugins
static int push_ordered(lua_State *L, const struct question *question)
{
    const struct ordering *ordering = question->data;
    lua_createtable(L, (int)ordering->count, 0);
    for (size_t i = 0; i < ordering->count; i++) {
        push_plugin(L, question, ordering->plugins[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// Runs protected, with the answer at 2. Whether the plugins are those that were
// given is for the loader to say.
static int take_ordered(lua_State *L)
{
    const struct ordering *ordering = lua_touserdata(L, 1);
    lua_Integer count = (lua_Integer)ordering->count;
    if (lua_type(L, 2) != LUA_TTABLE)
        luaL_error(L, "the policy's 'order' answered a %s; the list of plugins "
                   "expected", luaL_typename(L, 2));
    if (luaL_len(L, 2) != count)
        luaL_error(L, "the policy's 'order' answered %I plugins; the %I that "
                   "it was given expected", luaL_len(L, 2), count);
    for (lua_Integer i = 0; i < count; i++) {
        if (lua_geti(L, 2, i + 1) != LUA_TUSERDATA || !handle_test(L, -1))
            luaL_error(L, "the policy's 'order' answered a %s in place %I; a "
                       "plugin expected", luaL_typename(L, -1), i + 1);
        ordering->plugins[i] = handle_check(L, -1);
        lua_pop(L, 1);
    }
    return 0;
}

static e64_status order(void *data, e64_runtime *self, e64_plugin **plugins,
                        size_t count, e64_error *error)
{
    const struct ordering ordering = { plugins, count };
    struct question question = {
        .runtime = data, .hook = "order",
        .about = plugins[count - 1]->unit.object.name,
        .push = push_ordered, .answers = 1, .data = &ordering,
    };
    lua_State *L;
    (void)self;
    e64_status status = ask(&question, &L, error);
    if (status == E64_OK) {
        lua_pushcfunction(L, take_ordered);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, (void *)&ordering);
        lua_insert(L, -2);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK)
            status = ask_raised(L, &question, error);
    }
    asked(&question);
    return status;
}

static e64_status order_ended(void *data, e64_runtime *self,
                              e64_plugin **plugins, size_t count,
                              e64_error *error)
{
    (void)data, (void)self;
    return ask_ended("order", plugins[count - 1]->unit.object.name, error);
}

void hook_order_plugins(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->order = change == HOOK_SET ? order
                 : change == HOOK_END && hooks->order ? order_ended : NULL;
    hooks->order_data = self;
}
