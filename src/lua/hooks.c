// Which hooks a runtime in Lua has.

#include "asking.h"

#include <lauxlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*change)(struct runtime *runtime, enum hook_change change);
} hooks[] = {
    { "search", hook_search },
    { "accept", hook_accept_plugin },
    { "order", hook_order_plugins },
    { "verify", hook_verify_image },
    { "resolve", hook_resolve_import },
    { "scope", hook_scope_plugin },
    { "event", hook_event },
};

enum { HOOKS = sizeof hooks / sizeof *hooks };

int hooks_set(lua_State *L)
{
    struct runtime *runtime = runtime_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    bool wanted = !lua_isnil(L, 3);
    size_t at = 0;
    while (at < HOOKS && strcmp(hooks[at].name, name) != 0)
        at++;
    if (at == HOOKS)
        return luaL_argerror(L, 2, lua_pushfstring(
            L, "a runtime has no hook '%s'", name));
    if (wanted)
        luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, 1);
    lua_insert(L, 3);
    lua_setfield(L, 3, name);
    hooks[at].change(runtime, wanted ? HOOK_SET : HOOK_NONE);
    return 0;
}

void hooks_end(struct runtime *runtime)
{
    for (size_t i = 0; i < HOOKS; i++)
        hooks[i].change(runtime, HOOK_END);
}
