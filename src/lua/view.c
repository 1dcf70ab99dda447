// Bytes that a script may look at while a hook runs: nothing is copied but what
// is asked for.

#include "view.h"

#include <lauxlib.h>
#include <sha2.h>

#define VIEW "elf64load.view"

struct view_bytes {
    const unsigned char *bytes; // NULL: they are gone
    size_t size;
};

static const struct view_bytes *check(lua_State *L)
{
    const struct view_bytes *view = luaL_checkudata(L, 1, VIEW);
    if (!view->bytes)
        luaL_error(L, "closed: the bytes could be looked at while the hook "
                   "ran, and no longer");
    return view;
}

static int size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check(L)->size);
    return 1;
}

// As string.sub counts: from 1, or backwards from -1.
static size_t place(lua_State *L, int index, lua_Integer usual, size_t count)
{
    lua_Integer at = luaL_optinteger(L, index, usual);
    if (at >= 0)
        return (size_t)at;
    return at < -(lua_Integer)count ? 0 : count + (size_t)at + 1;
}

// view:sub(first [, last])
static int sub(lua_State *L)
{
    const struct view_bytes *view = check(L);
    luaL_checkinteger(L, 2);
    size_t first = place(L, 2, 1, view->size);
    size_t last = place(L, 3, -1, view->size);
    if (first < 1)
        first = 1;
    if (last > view->size)
        last = view->size;
    if (first > last)
        lua_pushliteral(L, "");
    else
        lua_pushlstring(L, (const char *)view->bytes + first - 1,
                        last - first + 1);
    return 1;
}

// view:digest([name]): hexadecimal digits.
static int digest(lua_State *L)
{
    static const char *const names[] = { "sha256", "sha384", "sha512", NULL };
    static char *(*const sums[])(const uint8_t *, size_t, char *) = {
        SHA256Data, SHA384Data, SHA512Data,
    };
    const struct view_bytes *view = check(L);
    char digits[SHA512_DIGEST_STRING_LENGTH];
    int chosen = luaL_checkoption(L, 2, "sha256", names);
    lua_pushstring(L, sums[chosen](view->bytes, view->size, digits));
    return 1;
}

static int describe(lua_State *L)
{
    const struct view_bytes *view = luaL_checkudata(L, 1, VIEW);
    lua_pushfstring(L, "view of %I bytes%s", (lua_Integer)view->size,
                    view->bytes ? "" : " (closed)");
    return 1;
}

struct view_bytes *view_push(lua_State *L, const void *bytes, size_t count)
{
    struct view_bytes *view = lua_newuserdatauv(L, sizeof *view, 0);
    *view = (struct view_bytes){ bytes, count };
    luaL_setmetatable(L, VIEW);
    return view;
}

void view_end(struct view_bytes *view)
{
    view->bytes = NULL;
}

void view_open(lua_State *L)
{
    static const luaL_Reg events[] = {
        { "__len", size },
        { "__tostring", describe },
        { NULL, NULL },
    };
    static const luaL_Reg methods[] = {
        { "sub", sub },
        { "digest", digest },
        { NULL, NULL },
    };
    if (luaL_newmetatable(L, VIEW)) {
        luaL_setfuncs(L, events, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}
