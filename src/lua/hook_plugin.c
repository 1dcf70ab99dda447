// The hooks of runtimes in Lua that are asked about plugins.

#include "asking.h"

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
    const struct question question = {
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

void hook_accept_plugin(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->accept = change == HOOK_SET ? accept
                  : change == HOOK_END && hooks->accept ? accept_ended : NULL;
    hooks->accept_data = self;
}
