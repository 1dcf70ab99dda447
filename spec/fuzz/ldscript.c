// The reader of GNU ld scripts, which is Lua and LPeg. Neither is compiled for
// the fuzzer, so a hook of Lua's tells it which line has followed which, and how
// far into a text the grammar has come.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "target.h"

int luaopen_lpeg(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// libFuzzer looks into what lies in this section, beside its own counters.
enum { PAIRS = 4096, DEPTHS = 64 };
__attribute__((section("__libfuzzer_extra_counters")))
static uint8_t counters[PAIRS + DEPTHS];

static lua_State *L;
static int last; // line that was executed

static void count_line(lua_State *state, lua_Debug *activation)
{
    (void)state;
    int line = activation->currentline;
    counters[(unsigned)(last * 64 + line) % PAIRS] = 1;
    last = line;
}

static void stop(void)
{
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "lpeg", luaopen_lpeg, 0);
    lua_settop(L, 0);
    if (luaL_dofile(L, "lua/elf64load/ldscript.lua") != LUA_OK)
        stop();
    lua_sethook(L, count_line, LUA_MASKLINE, 0);
    return 0;
}

// What parse answers: a list of inputs, or nil and why not.
static void check_inputs(void)
{
    lua_Integer count = luaL_len(L, 2);
    target_check(count > 0);
    for (lua_Integer i = 1; i <= count; i++) {
        target_check(lua_geti(L, 2, i) == LUA_TTABLE);
        int path = lua_getfield(L, -1, "path");
        int library = lua_getfield(L, -2, "library");
        target_check((path == LUA_TSTRING) != (library == LUA_TSTRING));
        target_check(path == LUA_TSTRING || path == LUA_TNIL);
        target_check(library == LUA_TSTRING || library == LUA_TNIL);
        target_check(lua_getfield(L, -3, "as_needed") == LUA_TBOOLEAN);
        lua_pop(L, 4);
    }
    if (count < DEPTHS)
        counters[PAIRS + count] = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    last = 0;
    lua_getfield(L, 1, "resembles");
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        stop();
    target_check(lua_isboolean(L, -1));
    lua_settop(L, 1);
    lua_getfield(L, 1, "parse");
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK)
        stop();
    // Stack: the module, the answer, why not.
    if (lua_istable(L, 2)) {
        check_inputs();
    } else {
        target_check(lua_isnil(L, 2) && lua_type(L, 3) == LUA_TSTRING);
        target_check(strlen(lua_tostring(L, 3)) > 10);
    }
    lua_settop(L, 1);
    return 0;
}
