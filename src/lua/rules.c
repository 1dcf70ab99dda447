// The rules of a policy. lua/elf64load/policy.lua has checked the tables.

#include "rules.h"

#include <lauxlib.h>
#include <stdbool.h>

// The length of a list, and memory for `size` bytes of each member, zeroed and
// on the stack below the list; NULL for none, when both are nil.
static void *room(lua_State *L, int table, const char *name, size_t size,
                  size_t more, size_t *count)
{
    luaL_checkstack(L, 6, "the policy has too many rules");
    *count = 0;
    if (lua_getfield(L, table, name) == LUA_TNIL) {
        lua_pushnil(L);
        return NULL;
    }
    *count = (size_t)luaL_len(L, -1);
    char *memory = lua_newuserdatauv(L, (*count + more) * size, 0);
    for (size_t i = 0; i < (*count + more) * size; i++)
        memory[i] = 0;
    lua_insert(L, -2);
    return memory;
}

// A list of strings, which are the table's.
static const char *const *names(lua_State *L, int table, const char *name)
{
    size_t count;
    const char **list = room(L, table, name, sizeof *list, 1, &count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        list[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    return list;
}

static const char *text(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    const char *value = lua_tostring(L, -1);
    lua_pop(L, 1);
    return value;
}

static void *pointer(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    void *address = (void *)(intptr_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return address;
}

e64_definition *definitions_read(lua_State *L, int table, const char *name,
                                 size_t *count)
{
    static const char *const kinds[] = { "function", "object", "notype", NULL };
    static const e64_kind values[] = {
        E64_KIND_FUNCTION, E64_KIND_OBJECT, E64_KIND_NOTYPE,
    };
    e64_definition *list = room(L, table, name, sizeof *list, 1, count);
    int members = lua_gettop(L);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, members, (lua_Integer)i + 1);
        int member = lua_gettop(L);
        lua_getfield(L, member, "kind");
        lua_getfield(L, member, "cell");
        lua_getfield(L, member, "size");
        list[i] = (e64_definition){
            .struct_size = sizeof *list,
            .name = text(L, member, "name"),
            .version = text(L, member, "version"),
            .address = pointer(L, member, "address"),
            .size = (uint64_t)luaL_optinteger(L, -1, 0),
            .cell = (unsigned char)lua_toboolean(L, -2),
            .kind = values[luaL_checkoption(L, -3, "notype", kinds)],
        };
        lua_settop(L, member - 1);
    }
    return list;
}

static void read_intercepts(lua_State *L, int table, e64_rules *rules)
{
    size_t count;
    e64_intercept *list = room(L, table, "intercept", sizeof *list, 0, &count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        int member = lua_gettop(L);
        lua_getfield(L, member, "name");
        list[i] = (e64_intercept){
            .struct_size = sizeof *list,
            .name = luaL_checkstring(L, -1),
            .address = pointer(L, member, "address"),
            .original = pointer(L, member, "cell"),
        };
        lua_settop(L, member - 1);
    }
    rules->intercept = list;
    rules->intercept_count = count;
}

static void read_provides(lua_State *L, int table, e64_rules *rules)
{
    static const char *const kinds[] = { "host", "path", "table", NULL };
    static const e64_provide_kind values[] = {
        E64_PROVIDE_HOST, E64_PROVIDE_PATH, E64_PROVIDE_TABLE,
    };
    size_t count, definitions;
    e64_provide *list = room(L, table, "provide", sizeof *list, 0, &count);
    int members = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, members, (lua_Integer)i + 1);
        int member = lua_gettop(L);
        lua_getfield(L, member, "kind");
        list[i] = (e64_provide){
            .struct_size = sizeof *list,
            .name = text(L, member, "name"),
            .kind = values[luaL_checkoption(L, -1, NULL, kinds)],
            .path = text(L, member, "path"),
        };
        list[i].definitions = definitions_read(L, member, "definitions",
                                               &definitions);
        list[i].definition_count = definitions;
    }
    rules->provide = list;
    rules->provide_count = count;
}

// Of the table on top.
static void read_rules(lua_State *L, e64_rules *rules)
{
    int table = lua_gettop(L);
    *rules = (e64_rules){ .struct_size = sizeof *rules };
    rules->allow = names(L, table, "allow");
    rules->deny = names(L, table, "deny");
    read_intercepts(L, table, rules);
    read_provides(L, table, rules);
}

void rules_read(lua_State *L, int index, e64_runtime_options *options)
{
    size_t count;
    e64_rules *rules;
    if (lua_getfield(L, index, "rules") != LUA_TNIL) {
        rules = lua_newuserdatauv(L, sizeof *rules, 0);
        lua_insert(L, -2);
        read_rules(L, rules);
        options->rules = rules;
    }
    e64_override *list = room(L, index, "plugins", sizeof *list, 0, &count);
    int members = lua_gettop(L);
    if (!count)
        return;
    rules = lua_newuserdatauv(L, count * sizeof *rules, 0);
    for (size_t i = 0; i < count; i++) {
        luaL_checkstack(L, 6, "the policy has too many rules");
        lua_rawgeti(L, members, (lua_Integer)i + 1);
        lua_getfield(L, -1, "glob");
        list[i] = (e64_override){ sizeof *list, luaL_checkstring(L, -1),
                                  &rules[i] };
        lua_getfield(L, -2, "rules");
        read_rules(L, &rules[i]);
    }
    options->overrides = list;
    options->override_count = count;
}
