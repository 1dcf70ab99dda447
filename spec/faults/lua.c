// Makes each allocation of a Lua state fail in turn, with all that follow, in
// functions that a script gives, and says what came of it.
//
//     lua SCRIPT FOLDER ARGUMENT...
//
// The script gives a list of { name, function, undo }: `undo` gets what the
// function answered. What is raised must be a lack of memory, and all must then
// be as before.

#include <elf64load.h>
#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"
#include "state.h"

int luaopen_elf64load(lua_State *L), luaopen_lpeg(lua_State *L);

e64_runtime *scenario_runtime; // the state's own is in its script

static long asked, due;

static void *allocate(void *data, void *block, size_t before, size_t size)
{
    (void)data, (void)before;
    if (size == 0) {
        free(block);
        return NULL;
    }
    // Lua counts on it that blocks can be made smaller, and tries again once it
    // has collected its garbage.
    bool larger = !block || size > before;
    if (larger && due && ++asked >= due)
        return NULL;
    return realloc(block, size);
}

static void stop(lua_State *L, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, lua_tostring(L, -1));
    exit(3);
}

static void collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCCOLLECT, 0);
}

// Calls function number `which` of the entry at `entry` with what is on top.
static int call(lua_State *L, int entry, int which, int arguments)
{
    lua_rawgeti(L, entry, which);
    lua_insert(L, -1 - arguments);
    return lua_pcall(L, arguments, 1, 0);
}

static struct state before, after;

static long wrong;

static void compare(const char *name, long at, const char *when)
{
    state_take(&after, STATE_LASTING);
    const char *difference = state_difference(&before, &after);
    if (difference) {
        printf("point %ld of %s: %s, this is different:%s\n", at, name, when,
               difference);
        wrong++;
    }
}

// True while there was such a point.
static bool test(lua_State *L, int entry, const char *name, long at)
{
    int top = lua_gettop(L);
    asked = 0;
    due = at;
    int status = call(L, entry, 2, 0);
    bool hit = asked >= due;
    due = 0;
    if (status == LUA_OK) {
        if (call(L, entry, 3, 1) != LUA_OK)
            stop(L, name);
    } else if (!strstr(luaL_tolstring(L, -1, NULL), "memory")) {
        printf("point %ld of %s raises: %s\n", at, name, lua_tostring(L, -1));
        wrong++;
    }
    lua_settop(L, top);
    collect(L);
    compare(name, at, "afterwards");
    return hit;
}

static void run(lua_State *L, int entry)
{
    lua_rawgeti(L, entry, 1);
    const char *name = lua_tostring(L, -1);
    // What is made once is made now.
    for (int i = 0; i < 3; i++)
        if (call(L, entry, 2, 0) != LUA_OK || call(L, entry, 3, 1) != LUA_OK)
            stop(L, name);
        else
            lua_pop(L, 1);
    collect(L);
    state_take(&before, STATE_LASTING);
    long at = 1, faults = wrong;
    while (test(L, entry, name, at))
        at++;
    printf("%s: %ld points, %ld wrong\n", name, at - 1, wrong - faults);
}

int main(int argc, char **argv)
{
    state_folder = argv[2];
    state_allocator();
    lua_State *L = lua_newstate(allocate, NULL);
    luaL_openlibs(L);
    luaL_requiref(L, "lpeg", luaopen_lpeg, 0);
    luaL_requiref(L, "elf64load", luaopen_elf64load, 0);
    lua_settop(L, 0);
    if (luaL_loadfile(L, argv[1]) != LUA_OK)
        stop(L, "script");
    for (int i = 3; i < argc; i++)
        lua_pushstring(L, argv[i]);
    if (lua_pcall(L, argc - 3, 1, 0) != LUA_OK)
        stop(L, "script");
    lua_gc(L, LUA_GCSTOP);
    lua_Integer count = luaL_len(L, 1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        run(L, 2);
        lua_settop(L, 1);
    }
    lua_close(L);
    return wrong ? 1 : 0;
}
