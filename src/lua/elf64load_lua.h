// elf64load for programs that have a Lua 5.4 of their own: what the archive
// libelf64load-lua.a adds to elf64load.h.
//
//     luaL_requiref(L, "elf64load", luaopen_elf64load, 0);

#ifndef ELF64LOAD_LUA_H
#define ELF64LOAD_LUA_H

#include <lua.h>

#include "elf64load.h"

#ifdef __cplusplus
extern "C" {
#endif

// Opens the module, for any number of states. LPeg must be where `require`
// finds it.
int luaopen_elf64load(lua_State *L);

// How threads that are in no call from a Lua state get into it, for what is
// written in Lua: the hooks of its runtimes, and callbacks. Without it such
// opens fail as E64_HOOK, and callbacks answer zero.
typedef struct e64_lua_threads {
    size_t struct_size;
    // Waits until nobody else is in the state and answers it, or a coroutine of
    // it that is not running. NULL refuses. A thread that is in the state by a
    // call of the program's own must be let in, too.
    lua_State *(*enter)(void *data);
    void (*leave)(void *data, lua_State *L);
    void *data;
} e64_lua_threads;

// Sets that for a state, until it is closed; NULL takes it back. To be called
// by who is in the state. E64_NOMEMORY when it could not be noted.
e64_status e64_lua_set_threads(lua_State *L,
                               const e64_lua_threads *threads);

#ifdef __cplusplus
}
#endif

#endif
