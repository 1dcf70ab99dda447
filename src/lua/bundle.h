// The Lua half of elf64load as bytes inside the program, for programs that
// carry no files of ours beside them.

#ifndef LUA_BUNDLE_H
#define LUA_BUNDLE_H

#include <stddef.h>

#include <lua.h>

#include "elf64load.h"

struct bundle_script {
    const char *name;  // as `require` gets it; NULL ends the list
    const char *chunk; // what tracebacks show, with Lua's '@'
    const unsigned char *bytes;
    size_t size;
};

// Written by premake5.lua from lua/elf64load/*.lua.
extern const struct bundle_script bundle_scripts[];

// Lets `require` find elf64load.core and the scripts in the program. They go
// before what package.path finds: an older installed copy would not fit this
// program's core. Doing it twice is doing it once.
void bundle_install(lua_State *L);

// The opener of elf64load.core: the one name that the module core.so shows.
E64_API int luaopen_elf64load_core(lua_State *L);

#endif
