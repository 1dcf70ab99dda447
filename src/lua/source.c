// Sources in Lua.

#include "source.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "calling.h"
#include "elf/file.h"
#include "error.h"
#include "failure.h"

static int64_t refuse(const struct lua_reader *reader, const char *why)
{
    const char *name = reader->source->name;
    fail(E64_HOOK, "%s: its reader failed: %s", name ? name : "(reader)", why);
    return ELF_READ_FAILED;
}

// What it answered is no bytes; the answer and perhaps a reason are on top.
static int64_t refuse_answer(lua_State *L, const struct lua_reader *reader)
{
    char why[96];
    if (lua_isnil(L, -2) && lua_type(L, -1) == LUA_TSTRING)
        return refuse(reader, lua_tostring(L, -1));
    snprintf(why, sizeof why, "it answered a %s; bytes, or nil and why not "
             "expected", luaL_typename(L, -2));
    return refuse(reader, why);
}

static int64_t take(lua_State *L, const struct lua_reader *reader,
                    void *buffer, size_t size)
{
    char why[96];
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING)
        return refuse_answer(L, reader);
    const char *bytes = lua_tolstring(L, -2, &length);
    if (length > size) {
        snprintf(why, sizeof why, "it answered %zu bytes where %zu were asked "
                 "for", length, size);
        return refuse(reader, why);
    }
    memcpy(buffer, bytes, length);
    return (int64_t)length;
}

// Asks a Lua function for bytes: read(offset, size) gives a string, which may
// be shorter, or nil and why not.
static int64_t read_bytes(void *data, void *buffer, size_t size,
                          uint64_t offset)
{
    struct lua_reader *reader = data;
    lua_State *L = reader->L;
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        errno = ENOMEM;
        return -1;
    }
    lua_pushvalue(L, reader->function);
    lua_pushinteger(L, (lua_Integer)offset);
    lua_pushinteger(L, (lua_Integer)size);
    if (lua_pcall(L, 2, 2, 0) != LUA_OK) {
        int64_t failed = refuse(reader, failure_text(L));
        lua_pop(L, 1);
        calling->cause = lua_gettop(L);
        return failed;
    }
    int64_t taken = take(L, reader, buffer, size);
    lua_pop(L, 2);
    return taken;
}

static uint64_t number(lua_State *L, int index, const char *field)
{
    lua_Integer value = 0;
    if (lua_getfield(L, index, field) != LUA_TNIL) {
        int isint;
        value = lua_tointegerx(L, -1, &isint);
        if (!isint || value < 0)
            luaL_error(L, "a source's '%s' must be a non-negative integer",
                       field);
    }
    lua_pop(L, 1);
    return (uint64_t)value;
}

// The string stays reachable through the table.
static const char *text(lua_State *L, int index, const char *field,
                        size_t *length)
{
    const char *value = NULL;
    int type = lua_getfield(L, index, field);
    if (type == LUA_TSTRING)
        value = lua_tolstring(L, -1, length);
    else if (type != LUA_TNIL)
        luaL_error(L, "a source's '%s' must be a string", field);
    lua_pop(L, 1);
    return value;
}

static void check_table(lua_State *L, int index, e64_source *source,
                        struct lua_reader *reader)
{
    size_t length = 0;
    source->name = text(L, index, "name", NULL);
    source->path = text(L, index, "path", NULL);
    source->bytes = text(L, index, "bytes", &length);
    source->offset = number(L, index, "offset");
    source->size = number(L, index, "size");
    int type = lua_getfield(L, index, "read");
    if (type == LUA_TFUNCTION) {
        reader->function = lua_gettop(L);
        source->read = read_bytes;
        source->data = reader;
    } else {
        lua_pop(L, 1);
    }
    if ((source->path != NULL) + (source->bytes != NULL)
        + (source->read != NULL) != 1)
        luaL_error(L, "a source needs one of 'path', 'bytes' and 'read'");
    if (source->bytes) {
        source->kind = E64_SOURCE_BYTES;
        if (source->offset > length
            || source->size > length - source->offset)
            luaL_error(L, "a source's 'offset' and 'size' reach beyond its "
                       "bytes");
        if (!source->size)
            source->size = length - source->offset;
    } else if (source->read) {
        source->kind = E64_SOURCE_READER;
        if (!source->size)
            luaL_error(L, "a source with 'read' needs its 'size'");
    }
}

void source_check(lua_State *L, int index, e64_source *source,
                  struct lua_reader *reader)
{
    *source = (e64_source){ .struct_size = sizeof *source };
    *reader = (struct lua_reader){ L, 0, source };
    index = lua_absindex(L, index);
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        source->kind = E64_SOURCE_BYTES;
        source->bytes = lua_tolstring(L, index, &length);
        source->size = length;
    } else if (lua_type(L, index) == LUA_TTABLE) {
        check_table(L, index, source, reader);
    } else {
        luaL_argerror(L, index, "bytes or a source expected");
    }
}
