// The table `typed` of elf64load.core.

#include "lua/typed.h"

int typed_open(lua_State *L)
{
    lua_newtable(L);
    ctype_open(L);
    reference_open(L);
    callback_open(L);
    pointer_open(L);
    namespace_open(L);
    lua_setfield(L, -2, "typed");
    return 0;
}
