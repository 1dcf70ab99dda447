// What a cache asks of files and of texts: is it the same, has it changed.

#include "stamp.h"

#include <lauxlib.h>
#include <sha2.h>
#include <sys/stat.h>

static lua_Integer nanoseconds(struct timespec time)
{
    return (lua_Integer)time.tv_sec * 1000000000 + time.tv_nsec;
}

// core.stamp(path): which file it is, a text that changes with its contents,
// and when it last did, in nanoseconds; nothing when there is no such file.
static int stamp(lua_State *L)
{
    struct stat file;
    if (stat(luaL_checkstring(L, 1), &file) != 0)
        return 0;
    lua_pushfstring(L, "%I:%I", (lua_Integer)file.st_dev,
                    (lua_Integer)file.st_ino);
    lua_pushfstring(L, "%I:%I:%I", (lua_Integer)file.st_size,
                    nanoseconds(file.st_mtim), nanoseconds(file.st_ctim));
    lua_pushinteger(L, nanoseconds(file.st_ctim));
    return 3;
}

// core.digest(bytes): SHA-256, in hexadecimal digits.
static int digest(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    char digits[SHA256_DIGEST_STRING_LENGTH];
    lua_pushstring(L, SHA256Data((const uint8_t *)bytes, size, digits));
    return 1;
}

void stamp_open(lua_State *L)
{
    lua_pushcfunction(L, stamp);
    lua_setfield(L, -2, "stamp");
    lua_pushcfunction(L, digest);
    lua_setfield(L, -2, "digest");
}
