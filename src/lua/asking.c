// Asking hooks in Lua.

#include "asking.h"

#include <lauxlib.h>

#include "calling.h"
#include "error.h"
#include "failure.h"
#include "run/run.h"

// Who it is about, which of its imports, and `text` after what is said of the
// hook, if it is: "in the hook '", its name, "': ".
static e64_status say(e64_error *error, e64_status status,
                      const struct question *question, const char *before,
                      const char *after, const char *text)
{
    const e64_import *import = question->import;
    fail(status, "%s%s%s%s: %s%s%s%s", question->about,
         import ? " needs '" : "", import ? import->name : "",
         import ? "'" : "", before, *after ? question->hook : "", after, text);
    error_path(question->about);
    if (import) {
        error_wanter(question->about);
        error_symbol(import->name, import->version);
    }
    return error_give(status, error);
}

e64_status ask_failed(e64_error *error, e64_status status,
                      const struct question *question, const char *text)
{
    return say(error, status, question, "", "", text);
}

static e64_status end(const struct question *question, e64_error *error)
{
    return say(error, E64_HOOK, question, "the policy's '", "' is a Lua "
               "function, ", "and its Lua state has been closed");
}

e64_status ask_ended(const char *hook, const char *about, e64_error *error)
{
    const struct question question = { .hook = hook, .about = about };
    return end(&question, error);
}

e64_status ask_import_ended(const char *hook, const e64_import *import,
                            e64_error *error)
{
    const struct question question = {
        .hook = hook, .about = import->wanter->unit.object.name,
        .import = import,
    };
    return end(&question, error);
}

static int put(lua_State *L)
{
    const struct question *question = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    runtime_push(L, question->runtime);
    lua_getiuservalue(L, -1, 1);
    lua_getfield(L, -1, question->hook);
    lua_call(L, question->push(L, question), question->answers);
    return question->answers;
}

static e64_status take_raised(lua_State *L, const struct question *question,
                              const char *before, const char *after,
                              e64_error *error)
{
    say(error, E64_HOOK, question, before, after, failure_text(L));
    lua_pop(L, 1);
    calling->cause = lua_gettop(L);
    return E64_HOOK;
}

e64_status ask_raised(lua_State *L, const struct question *question,
                      e64_error *error)
{
    return take_raised(L, question, "", "", error);
}

static bool get_in(struct question *question)
{
    const lua_State *main = question->runtime->main;
    if (calling && calling->main == main)
        return true;
    question->visiting = calling_visit(&question->visit, main);
    return question->visiting;
}

e64_status ask(struct question *question, lua_State **state, e64_error *error)
{
    if (!get_in(question))
        return say(error, E64_HOOK, question, "the policy's '", "' is a Lua "
                   "function, ", "and this thread is not in a call from its "
                   "Lua state");
    lua_State *L = *state = calling->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return ask_failed(error, E64_NOMEMORY, question, "no room on the Lua "
                          "stack");
    lua_pushcfunction(L, put);
    lua_pushlightuserdata(L, question);
    if (lua_pcall(L, 1, question->answers, 0) != LUA_OK)
        return take_raised(L, question, "in the hook '", "': ", error);
    return E64_OK;
}

void asked(struct question *question)
{
    if (question->end)
        question->end(question);
    if (question->visiting)
        calling_depart(&question->visit);
    question->visiting = false;
}

// Protected, as making a message may raise.
static int refuse(lua_State *L)
{
    const struct question *question = lua_touserdata(L, 1);
    return luaL_error(L, "the policy's '%s' answered a %s; true, or nil and "
                      "why not expected", question->hook, luaL_typename(L, 2));
}

static e64_status take_whether(lua_State *L, struct question *question,
                               e64_error *error)
{
    int answer = lua_gettop(L) - 1;
    const char *why = lua_type(L, answer + 1) == LUA_TSTRING
                    ? lua_tostring(L, answer + 1) : NULL;
    e64_status status = E64_OK;
    if (!lua_isnil(L, answer) && !lua_isboolean(L, answer)) {
        lua_pushcfunction(L, refuse);
        lua_pushlightuserdata(L, question);
        lua_pushvalue(L, answer);
        lua_pcall(L, 2, 0, 0);
        return ask_raised(L, question, error);
    }
    if (!lua_toboolean(L, answer)) {
        fail(E64_DENIED, "%s: the policy's '%s' refuses it%s%s",
             question->about, question->hook, why ? ": " : "", why ? why : "");
        error_path(question->about);
        status = error_give(E64_DENIED, error);
    }
    lua_settop(L, answer - 1);
    return status;
}

e64_status ask_whether(struct question *question, e64_error *error)
{
    lua_State *L;
    e64_status status = ask(question, &L, error);
    if (status == E64_OK)
        status = take_whether(L, question, error);
    asked(question);
    return status;
}
