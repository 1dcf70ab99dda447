// Events of runtimes in Lua. Who is told can change nothing: what it raises is
// a warning. A thread that is in no call from the Lua state tells nobody.

#include "asking.h"

#include "calling.h"
#include "failure.h"
#include "fields.h"
#include "handle.h"
#include "run/run.h"

// event { name, path, plugin, when, took, message, kind, detail }
static int push_event(lua_State *L, const struct question *question)
{
    const e64_event *event = question->data;
    lua_createtable(L, 0, 8);
    field_text(L, "name", event->name);
    field_text(L, "path", event->path);
    field_number(L, "when", event->when);
    field_number(L, "took", event->took);
    if (event->plugin) {
        runtime_push(L, question->runtime);
        handle_set(handle_push(L, -1), event->plugin, false);
        lua_setfield(L, -3, "plugin");
        lua_pop(L, 1);
    }
    if (event->error) {
        int table = lua_gettop(L);
        failure_push(L, event->error, 0);
        lua_setfield(L, table, "detail");
        lua_setfield(L, table, "kind");
        lua_setfield(L, table, "message");
        lua_settop(L, table);
    }
    return 1;
}

static void warn(lua_State *L, const char *name, const char *text)
{
    lua_warning(L, "the policy's function for the event '", 1);
    lua_warning(L, name, 1);
    lua_warning(L, "' raised: ", 1);
    lua_warning(L, text, 0);
}

static void tell(void *data, e64_runtime *self, const e64_event *event)
{
    struct question question = {
        .runtime = data, .hook = "event", .about = event->path,
        .push = push_event, .data = event,
    };
    int top = calling ? lua_gettop(calling->L) : 0;
    int cause = calling ? calling->cause : 0;
    lua_State *L = NULL;
    e64_error error;
    (void)self;
    if (ask(&question, &L, &error) != E64_OK && L)
        warn(L, event->name, error.message);
    if (L && !question.visiting) {
        calling->cause = cause;
        lua_settop(L, top);
    }
    asked(&question);
}

void hook_event(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->event = change == HOOK_SET ? tell : NULL;
    hooks->event_data = self;
}
