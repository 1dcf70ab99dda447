// Who is calling from Lua: what hooks and callbacks need that C calls in the
// course of it.

#ifndef LUA_CALLING_H
#define LUA_CALLING_H

#include <stdbool.h>

#include <lua.h>

#include "lua/source.h"
#include "lua/typed.h"

// A call into C that a Lua state is in. It lies on the stack of its thread.
struct calling {
    struct calling *outer;
    lua_State *L;    // the coroutine that calls
    const lua_State *main; // of its state
    int depth;             // how many of this thread it makes
    bool raised;           // by a callback
    int kept;              // stack index of a place for a callback, or 0
    const void *callback;  // the address of the userdata that is there
    int top;   // of a visit: where its stack began
    int cause; // stack index of what a hook raised last, or 0
    struct lua_reader reader; // of the source that a hook answered last
};

// The innermost of this thread, or NULL. What hooks leave on its stack, a cause
// or a source, is there until it returns.
extern __thread struct calling *calling
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

// `main` is the first thread of the state.
static inline void calling_enter(struct calling *self, lua_State *L,
                                 const lua_State *main)
{
    *self = (struct calling){ .outer = calling, .L = L, .main = main,
                              .depth = calling ? calling->depth + 1 : 1 };
    calling = self;
}

// Tells of callbacks that could not be made, too. Does not raise, so what the
// call has given out is not lost.
static inline void calling_leave(const struct calling *self)
{
    calling = self->outer;
    if (callback_unreported())
        callback_report(self->L);
}

// Makes room in a state for what callbacks raise.
void calling_open(lua_State *L);

// Takes what a callback has raised from the top; the first one of a call
// counts. Does not raise, and needs no memory. It does not stay on the stack,
// as functions of others may be in between.
void calling_raised(lua_State *L);

// Raises what a callback raised meanwhile, if one did.
void calling_rethrow(lua_State *L, const struct calling *self);

// The same for who has nobody to raise it to: a warning. Does not raise.
void calling_warn(lua_State *L, const struct calling *self);

// Lets a thread into a state that it is in no call from, by what the embedder
// has given for that (visiting.c); false where it may not. It leaves the stack
// as it was.
bool calling_visit(struct calling *self, const lua_State *main);
void calling_depart(struct calling *self);

// The first thread of a state, by which states are told apart.
const lua_State *calling_main(lua_State *L);

#endif
