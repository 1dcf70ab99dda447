// The hook `search` of runtimes in Lua.

#include "asking.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "calling.h"
#include "fields.h"
#include "run/run.h"

// A wanter as the search sees it: { path, rpath, runpath, nodeflib, loader }.
static void push_wanter(lua_State *L, const e64_plugin *plugin)
{
    if (!plugin || !lua_checkstack(L, 4)) {
        lua_pushnil(L);
        return;
    }
    const struct elf_image *image = &plugin->unit.image;
    lua_newtable(L);
    field_text(L, "path", plugin->unit.object.name);
    if (image->rpath)
        field_text(L, "rpath", elf_string(&image->symbols, image->rpath));
    if (image->runpath)
        field_text(L, "runpath", elf_string(&image->symbols, image->runpath));
    field_boolean(L, "nodeflib", image->flags_1 & DF_1_NODEFLIB ? 1 : 0);
    push_wanter(L, plugin->loader);
    lua_setfield(L, -2, "loader");
}

struct wanted {
    const char *name;
    const e64_plugin *wanter;
};

// search(name, wanter) -> path | source | nil, why, go on
static int push_wanted(lua_State *L, const struct question *question)
{
    const struct wanted *wanted = question->data;
    lua_pushstring(L, wanted->name);
    push_wanter(L, wanted->wanter);
    return 2;
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

static e64_status take_source(lua_State *L, int answer,
                              const struct question *question,
                              e64_source *source, e64_error *error)
{
    struct lua_reader *reader = &calling->reader;
    lua_pushcfunction(L, check_source);
    lua_pushvalue(L, answer);
    lua_pushlightuserdata(L, source);
    lua_pushlightuserdata(L, reader);
    if (lua_pcall(L, 3, 1, 0) != LUA_OK)
        return ask_raised(L, question, error);
    reader->L = L;
    reader->function = lua_gettop(L);
    return E64_OK;
}

static int refuse_answer(lua_State *L)
{
    return luaL_error(L, "the search answered a %s; a path, a source, or nil "
                      "and why not expected", luaL_typename(L, 1));
}

// The answers stay on the stack as long as something points to them.
static e64_status take_found(lua_State *L, const struct question *question,
                             e64_source *source, e64_error *error)
{
    int answer = lua_gettop(L) - 2;
    const char *why = lua_type(L, answer + 1) == LUA_TSTRING
                    ? lua_tostring(L, answer + 1) : NULL;
    switch (lua_type(L, answer)) {
    case LUA_TSTRING:
        source->kind = E64_SOURCE_PATH;
        source->path = lua_tostring(L, answer);
        return E64_OK;
    case LUA_TTABLE:
        return take_source(L, answer, question, source, error);
    case LUA_TNIL:
        // Without a reason it is left to the loader's own search; one that is
        // to go on is told when that has found nothing.
        if (lua_toboolean(L, answer + 2) && why) {
            error->message = why;
            return E64_NOTFOUND;
        }
        if (why)
            ask_failed(error, E64_NOTFOUND, question, why);
        lua_settop(L, answer - 1);
        return E64_NOTFOUND;
    default:
        lua_pushcfunction(L, refuse_answer);
        lua_pushvalue(L, answer);
        lua_pcall(L, 1, 0, 0);
        return ask_raised(L, question, error);
    }
}

// A thread that was let in takes a path or a reason with it. Bytes stay, as
// nobody may look at them when it has left.
static e64_status take_along(e64_status status,
                             const struct question *question,
                             e64_source *source, e64_error *error)
{
    if (status == E64_NOTFOUND && error->status == E64_OK && error->message) {
        snprintf(error->storage, sizeof error->storage, "%s", error->message);
        error->message = error->storage;
    }
    if (status != E64_OK)
        return status;
    if (source->kind != E64_SOURCE_PATH
        || strlen(source->path) >= sizeof error->storage)
        return ask_failed(error, E64_HOOK, question, "the search answered a "
                          "source to a thread that is in no call from its Lua "
                          "state, and may answer it a path alone");
    source->path = strcpy(error->storage, source->path);
    return E64_OK;
}

static e64_status search(void *data, e64_runtime *self, const char *name,
                         e64_plugin *wanter, e64_source *source,
                         e64_error *error)
{
    const struct wanted wanted = { name, wanter };
    struct question question = {
        .runtime = data, .hook = "search", .about = name,
        .push = push_wanted, .answers = 3, .data = &wanted,
    };
    lua_State *L;
    (void)self;
    e64_status status = ask(&question, &L, error);
    if (status == E64_OK)
        status = take_found(L, &question, source, error);
    if (question.visiting)
        status = take_along(status, &question, source, error);
    asked(&question);
    return status;
}

static e64_status search_ended(void *data, e64_runtime *self, const char *name,
                               e64_plugin *wanter, e64_source *source,
                               e64_error *error)
{
    (void)data, (void)self, (void)wanter, (void)source;
    return ask_ended("search", name, error);
}

void hook_search(struct runtime *self, enum hook_change change)
{
    e64_runtime *runtime = self->runtime;
    runtime->search = change == HOOK_SET ? search
                    : change == HOOK_END && runtime->search ? search_ended
                    : NULL;
    runtime->search_data = self;
}
