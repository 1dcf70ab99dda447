// Bytes that a script may look at while a hook runs.

#ifndef LUA_VIEW_H
#define LUA_VIEW_H

#include <stddef.h>

#include <lua.h>

struct view_bytes;

void view_open(lua_State *L);

// Pushes a view of bytes, which stay where they are until view_end.
struct view_bytes *view_push(lua_State *L, const void *bytes, size_t size);
// The view stays on; what is asked of it raises.
void view_end(struct view_bytes *view);

#endif
