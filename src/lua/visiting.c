// Threads that are in no call from a Lua state, and what lets them in.

#include <lauxlib.h>
#include <string.h>

#include "elf64load_lua.h"
#include "forks.h"
#include "lock.h"
#include "lua/calling.h"
#include "memory.h"

struct gate {
    struct gate *next;
    const lua_State *main;
    e64_lua_threads threads;
};

static struct lock lock = LOCK_INITIALIZER;
static struct gate *gates;

// The key in the registry of what closes the gate with the state.
static const char closer_key = 'v';

#define CLOSER "elf64load.gate"

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

// With the lock held.
static struct gate **find(const lua_State *main)
{
    struct gate **at = &gates;
    while (*at && (*at)->main != main)
        at = &(*at)->next;
    return at;
}

static void forget(const lua_State *main)
{
    lock_take(&lock);
    struct gate **at = find(main), *gone = *at;
    if (gone)
        *at = gone->next;
    lock_give(&lock);
    memory_free(gone);
}

static int close_gate(lua_State *L)
{
    forget(calling_main(L));
    return 0;
}

static void keep_closer(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    if (luaL_newmetatable(L, CLOSER)) {
        lua_pushcfunction(L, close_gate);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &closer_key);
}

e64_status e64_lua_set_threads(lua_State *L, const e64_lua_threads *threads)
{
    static const struct fork_part part = { before_fork, after_fork };
    const lua_State *main = calling_main(L);
    forks_watch(FORK_VISITS, &part);
    forget(main);
    if (!threads)
        return E64_OK;
    struct gate *made = memory_new(sizeof *made);
    if (!made)
        return E64_NOMEMORY;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &closer_key) == LUA_TNIL)
        keep_closer(L);
    lua_pop(L, 1);
    *made = (struct gate){ .main = main, .threads = *threads };
    lock_take(&lock);
    made->next = gates;
    gates = made;
    lock_give(&lock);
    return E64_OK;
}

static bool gate_of(const lua_State *main, e64_lua_threads *threads)
{
    lock_take(&lock);
    const struct gate *found = *find(main);
    if (found)
        *threads = found->threads;
    lock_give(&lock);
    return found != NULL;
}

bool calling_visit(struct calling *self, const lua_State *main)
{
    e64_lua_threads threads;
    if (!gate_of(main, &threads))
        return false;
    lua_State *L = threads.enter(threads.data);
    if (!L)
        return false;
    calling_enter(self, L, main);
    self->top = lua_gettop(L);
    return true;
}

void calling_depart(struct calling *self)
{
    e64_lua_threads threads;
    lua_State *L = self->L;
    calling_leave(self);
    if (self->raised)
        calling_warn(L, self);
    lua_settop(L, self->top);
    if (gate_of(self->main, &threads))
        threads.leave(threads.data, L);
}
