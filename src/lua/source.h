// Sources in Lua: a string of bytes, or what elf.source made.

#ifndef LUA_SOURCE_H
#define LUA_SOURCE_H

#include <lua.h>

#include "elf64load.h"

// What a reader written in Lua is called with.
struct lua_reader {
    lua_State *L;
    int function;             // its stack index
    const e64_source *source; // that it is the reader of
};

// Reads the source at `index`, which must stay on the stack while it is used,
// as must the values that this pushes, and both structs where they are. Raises
// when it is none. What a reader raises is the cause of the calling.
void source_check(lua_State *L, int index, e64_source *source,
                  struct lua_reader *reader);

#endif
