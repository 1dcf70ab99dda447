// Symbols in Lua.

#include "symbol.h"

#include <lauxlib.h>
#include <string.h>

#include "typed.h"

#define SYMBOL "elf64load.symbol"

static const char *const kinds[] = {
    [E64_KIND_NOTYPE] = "notype",
    [E64_KIND_OBJECT] = "object",
    [E64_KIND_FUNCTION] = "function",
    [E64_KIND_TLS] = "tls",
    [E64_KIND_IFUNC] = "ifunc",
};

const char *symbol_kind_name(e64_kind kind)
{
    return kinds[kind];
}

struct lua_symbol *symbol_test(lua_State *L, int index)
{
    return luaL_testudata(L, index, SYMBOL);
}

struct lua_symbol *symbol_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, SYMBOL);
}

void symbol_alive(lua_State *L, const struct lua_symbol *symbol)
{
    if (symbol_gone(symbol))
        luaL_error(L, "closed: '%s' belonged to %s, which has been closed",
                   symbol->symbol.name, symbol->symbol.file);
}

// Copies a string behind the struct.
static const char *keep(char **at, const char *text)
{
    if (!text)
        return NULL;
    char *copy = strcpy(*at, text);
    *at += strlen(text) + 1;
    return copy;
}

static size_t room(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

void symbol_push(lua_State *L, const e64_symbol *symbol)
{
    size_t size = sizeof(struct lua_symbol) + room(symbol->name)
                + room(symbol->version) + room(symbol->file);
    struct lua_symbol *made = lua_newuserdatauv(L, size, 0);
    char *at = (char *)(made + 1);
    made->symbol = *symbol;
    made->symbol.name = keep(&at, symbol->name);
    made->symbol.version = keep(&at, symbol->version);
    made->symbol.file = keep(&at, symbol->file);
    made->plugin = NULL;
    made->collected = false;
    luaL_setmetatable(L, SYMBOL);
    if (symbol->plugin)
        made->plugin = plugin_hold(symbol->plugin);
}

static int drop(lua_State *L)
{
    struct lua_symbol *symbol = symbol_check(L, 1);
    plugin_drop(symbol->plugin);
    symbol->plugin = NULL;
    symbol->collected = true;
    return 0;
}

static int describe(lua_State *L)
{
    const struct lua_symbol *symbol = symbol_check(L, 1);
    const char *version = symbol->symbol.version;
    lua_pushfstring(L, "symbol '%s%s%s' of %s: %s", symbol->symbol.name,
                    version ? "@" : "", version ? version : "",
                    symbol->symbol.file, kinds[symbol->symbol.kind]);
    return 1;
}

static int equal(lua_State *L)
{
    const struct lua_symbol *a = luaL_testudata(L, 1, SYMBOL);
    const struct lua_symbol *b = luaL_testudata(L, 2, SYMBOL);
    lua_pushboolean(L, a && b && a->symbol.address == b->symbol.address
                    && a->plugin == b->plugin
                    && strcmp(a->symbol.name, b->symbol.name) == 0);
    return 1;
}

static int get(lua_State *L)
{
    const struct lua_symbol *symbol = symbol_check(L, 1);
    const char *field = luaL_checkstring(L, 2);
    if (strcmp(field, "name") == 0)
        lua_pushstring(L, symbol->symbol.name);
    else if (strcmp(field, "version") == 0)
        lua_pushstring(L, symbol->symbol.version);
    else if (strcmp(field, "file") == 0)
        lua_pushstring(L, symbol->symbol.file);
    else if (strcmp(field, "kind") == 0)
        lua_pushstring(L, kinds[symbol->symbol.kind]);
    else if (strcmp(field, "size") == 0)
        lua_pushinteger(L, (lua_Integer)symbol->symbol.size);
    else if (strcmp(field, "address") == 0 && symbol->symbol.address)
        lua_pushinteger(L, (lua_Integer)symbol->symbol.address);
    else if (strcmp(field, "as") == 0)
        lua_pushcfunction(L, typed_as);
    else
        lua_pushnil(L);
    return 1;
}

// core.cfunction(symbol): the C function of Lua's that a symbol of a module is.
// It is called as it stands: the module has to stay open.
static int make_function(lua_State *L)
{
    const struct lua_symbol *symbol = symbol_check(L, 1);
    symbol_alive(L, symbol);
    luaL_argcheck(L, symbol->symbol.address
                  && symbol->symbol.kind != E64_KIND_OBJECT
                  && symbol->symbol.kind != E64_KIND_TLS, 1,
                  "a function's symbol expected");
    lua_pushcfunction(L, (lua_CFunction)symbol->symbol.address);
    return 1;
}

void symbol_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "__gc", drop },
        { "__tostring", describe },
        { "__eq", equal },
        { "__index", get },
        { "__call", typed_call },
        { NULL, NULL },
    };
    if (luaL_newmetatable(L, SYMBOL))
        luaL_setfuncs(L, methods, 0);
    lua_pop(L, 1);
    lua_pushcfunction(L, make_function);
    lua_setfield(L, -2, "cfunction");
}
