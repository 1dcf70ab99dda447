// Exceptions that reach a call from Lua become errors of Lua.

#include "lua/typed.h"

#include <lauxlib.h>

#include "call/exception.h"
#include "host/host.h"

// In a module of the host: by the module's own table, whoever else defines it.
static void *find_in_host(const void *owner, const char *text)
{
    struct host_snapshot *snapshot;
    void *found = NULL;
    if (host_snapshot(&snapshot) != E64_OK)
        return NULL;
    const struct host_module *module = host_containing(snapshot,
                                                       (uintptr_t)owner);
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    if (module && elf_find(&module->symbols, &name, ELF_WANT_NEWEST, &symbol))
        found = (void *)elf_symbol_value(&module->object, &symbol);
    host_snapshot_release(snapshot);
    return found;
}

static void *find_near(const void *owner, const char *name)
{
    e64_place place;
    e64_error error;
    if (e64_whence(owner, &place, &error) != E64_OK)
        return NULL;
    return place.plugin ? e64_address(place.plugin, name)
                        : find_in_host(owner, name);
}

int thrown_raise(lua_State *L, struct _Unwind_Exception *exception)
{
    char text[2048];
    exception_end(exception, find_near, text, sizeof text);
    return luaL_error(L, "%s", text);
}
