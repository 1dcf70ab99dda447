// Makes plugins known to debuggers by ld.so's own interface (<link.h>, struct
// r_debug): a list of link_maps, a state, and a function that is called before
// and after the list changes, in which a debugger has a breakpoint. Since glibc
// 2.35 there may be several lists, one for each namespace, in a chain, which
// begins at _r_debug; ours is one more. ld.so appends to the chain as well and
// takes nothing out of it, so another copy of this loader does not mind.
//
// Our link_maps must not be in glibc's list, which its dlclose walks through.

#include "debugger.h"
#include "objects.h"

#include <gnu/libc-version.h>
#include <stdlib.h>

struct node {
    struct r_debug base;
    _Atomic(struct node *) next;
};

static struct lock lock = LOCK_INITIALIZER;
static struct node own;
static struct link_map *last;
static bool tried; // to be in the chain

// Does _r_debug have a `next`, and does glibc know that others may follow?
static bool has_chain(void)
{
    const char *text = gnu_get_libc_version();
    char *minor;
    long major = strtol(text, &minor, 10);
    return major > 2 || (major == 2 && strtol(minor + 1, NULL, 10) >= 35);
}

static void append(void)
{
    struct node *node = (struct node *)&_r_debug;
    own.base = (struct r_debug){
        .r_version = 2,
        .r_brk = _r_debug.r_brk,
        .r_state = RT_CONSISTENT,
        .r_ldbase = _r_debug.r_ldbase,
    };
    struct node *next = NULL;
    while (!atomic_compare_exchange_strong(&node->next, &next, &own)) {
        node = next;
        next = NULL;
    }
    // Debuggers look for a chain from this version on.
    __atomic_store_n(&_r_debug.r_version, 2, __ATOMIC_RELEASE);
}

// Tells a debugger, which reads the list while the process stands still in
// r_brk. Every debugger knows a stop there; what it does reads the state.
static void tell(int state)
{
    own.base.r_state = state;
    if (own.base.r_brk)
        ((void (*)(void))own.base.r_brk)();
}

static void insert(struct link_map *map)
{
    map->l_prev = last;
    map->l_next = NULL;
    if (last)
        last->l_next = map;
    else
        own.base.r_map = map;
    last = map;
}

static void unlink_map(struct link_map *map)
{
    if (map->l_prev)
        map->l_prev->l_next = map->l_next;
    else
        own.base.r_map = map->l_next;
    if (map->l_next)
        map->l_next->l_prev = map->l_prev;
    else
        last = map->l_prev;
    map->l_prev = map->l_next = NULL;
}

void debugger_add(e64_plugin *const *plugins, uint32_t count)
{
    lock_take(&lock);
    if (!tried && has_chain())
        append();
    tried = true;
    tell(RT_ADD);
    for (uint32_t i = 0; i < count; i++) {
        if (plugins[i]->host || plugins[i]->listed || plugins[i]->objects)
            continue;
        plugins[i]->listed = true;
        insert(&plugins[i]->map);
    }
    tell(RT_CONSISTENT);
    lock_give(&lock);
    for (uint32_t i = 0; i < count; i++)
        if (plugins[i]->objects)
            jit_add(plugins[i]);
}

void debugger_remove(e64_plugin *plugin)
{
    lock_take(&lock);
    if (plugin->listed) {
        plugin->listed = false;
        tell(RT_DELETE);
        unlink_map(&plugin->map);
        tell(RT_CONSISTENT);
    }
    lock_give(&lock);
}

void debugger_before_fork(void)
{
    lock_before_fork(&lock);
}

void debugger_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}
