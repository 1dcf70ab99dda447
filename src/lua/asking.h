// Asking hooks in Lua. They run in the call that entered from Lua, on its
// coroutine. What one raises fails the open that asked, and is kept for
// detail.error.

#ifndef LUA_ASKING_H
#define LUA_ASKING_H

#include "calling.h"
#include "runtime.h"

// What a hook is asked. `push` puts its arguments on the stack and says how
// many; it and the hook run protected.
struct question {
    const struct runtime *runtime;
    const char *hook;  // its name in the table
    const char *about; // a name or a path, for messages
    const e64_import *import; // of that plugin, which the hook is asked about
    int (*push)(lua_State *L, const struct question *question);
    int answers; // how many are wanted
    const void *data;
    // Ends what the hook may use only while it runs, or NULL. Called when it
    // has run, and while the thread is still in the state.
    void (*end)(const struct question *question);
    bool visiting; // by a thread that was let in: `visit`
    struct calling visit;
};

// Leaves the answers on top of *state, and must be ended by asked, after which
// they are there only if the thread is not visiting.
e64_status ask(struct question *question, lua_State **state, e64_error *error);
void asked(struct question *question);

// All of it for true, or nil and why not, which is E64_DENIED.
e64_status ask_whether(struct question *question, e64_error *error);

// Keeps what lies on top, which was raised, for detail.error.
e64_status ask_raised(lua_State *L, const struct question *question,
                      e64_error *error);

// "ABOUT: TEXT", or "ABOUT needs 'IMPORT': TEXT"
e64_status ask_failed(e64_error *error, e64_status status,
                      const struct question *question, const char *text);

// What a hook answers whose state is being closed, or which nobody can call.
e64_status ask_ended(const char *hook, const char *about, e64_error *error);
e64_status ask_import_ended(const char *hook, const e64_import *import,
                            e64_error *error);

#endif
