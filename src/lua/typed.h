// Typed symbols in Lua: C types, functions, variables, pointers and memory, as
// the table `typed` of elf64load.core. lua/elf64load/cdef.lua reads C text and
// builds what is here; init.lua hands out what users see of it.

#ifndef LUA_TYPED_H
#define LUA_TYPED_H

#include <stdatomic.h>
#include <stdbool.h>

#include <lua.h>

#include "call/closure.h"
#include "call/shape.h"
#include "call/type.h"
#include "lua/symbol.h"

// ------------------------------------------------- for the rest of the room

// Adds the table `typed` to the table on top of the stack. May be done again
// in a state, and in any number of states.
int typed_open(lua_State *L);

// __call of a symbol: raises and says how to give it a type.
int typed_call(lua_State *L);

// symbol:as(ctype): the symbol as a function, a variable or an array.
int typed_as(lua_State *L);

// ------------------------------------------------------------------- ctype.c

void ctype_open(lua_State *L);

// The state's types.
struct call_types *ctype_pool(lua_State *L);

// Pushes the type; NULL raises for want of memory.
void ctype_push(lua_State *L, const struct call_type *type);

// NULL when it is something else.
const struct call_type *ctype_test(lua_State *L, int index);

// Takes C text too, read with the declarations of the handle at `scope` (0:
// those that all share).
const struct call_type *ctype_check(lua_State *L, int index, int scope);

// What a message about a struct or a union adds, or nothing.
const char *ctype_advice(const struct call_type *type);

// --------------------------------------------------------------- reference.c

enum reference_origin {
    REFERENCE_FOREIGN, // C's memory: what a call returned
    REFERENCE_SYMBOL,  // a plugin's; uservalue 1 is the symbol
    REFERENCE_MEMORY,  // follows the struct; uservalue 1 keeps what its cells
                       // point to
    REFERENCE_PART,    // of such memory, which is uservalue 1
    REFERENCE_CALLBACK, // a Lua function; uservalue 1 is the callback
};

// A place in memory and what C says is there: function, variable, array and
// pointer are this one thing.
struct reference {
    const void *mark; // &reference_mark: what it is told by
    void *address;
    const struct call_type *type; // of one element
    size_t count;                 // CALL_UNBOUNDED when not known
    bool single;                  // one variable rather than an array
    enum reference_origin origin;
    struct call_shape *shape;        // of a function without "..."
    const lua_State *main;           // of a function: its state's first thread
    const struct lua_symbol *symbol; // whose plugin it lies in, or NULL
};

extern const char reference_mark __attribute__((visibility("hidden")));

void reference_open(lua_State *L);

// NULL for anything else. To compare metatables takes longer than a call.
static inline struct reference *reference_test(lua_State *L, int index)
{
    struct reference *reference = lua_touserdata(L, index);
    return reference && lua_rawlen(L, index) >= sizeof *reference
        && reference->mark == &reference_mark ? reference : NULL;
}

struct reference *reference_check(lua_State *L, int index);

// Raises when the plugin that it lies in has been stopped.
static inline void reference_alive(lua_State *L,
                                   const struct reference *reference)
{
    if (reference->symbol && symbol_gone(reference->symbol))
        symbol_alive(L, reference->symbol);
}

// Pushes a pointer to `type` of which no more is known; nil for NULL.
void reference_push_pointer(lua_State *L, void *address,
                            const struct call_type *type);

// Pushes a pointer to a Lua function, and takes its callback from the top.
void reference_push_callback(lua_State *L, void *address,
                             const struct call_type *type);

// Pushes a reference into what the reference at `owner` keeps alive.
struct reference *reference_push_part(lua_State *L, int owner, void *address,
                                      const struct call_type *type,
                                      size_t count);

// Pushes the symbol at `index` as `type`, or nil and why not.
int reference_push_symbol(lua_State *L, int index,
                          const struct call_type *type);

// Pushes "int [4]", "char *", "int add(int, int)".
const char *reference_spell(lua_State *L, const struct reference *reference);

// Pushes what the variable at `index` holds, or itself if that is no value.
int reference_read(lua_State *L, int index);

// Sets element `at` of the reference at `index` to the value at `value`.
void reference_store(lua_State *L, int index, lua_Integer at, int value);

// The same for what a script may write: not const.
void reference_write(lua_State *L, int index, lua_Integer at, int value);

// Pushes new zeroed memory of Lua's for `count` elements.
struct reference *reference_push_memory(lua_State *L,
                                        const struct call_type *type,
                                        size_t count);

// ---------------------------------------------------------------- function.c

// __call of references.
int function_call(lua_State *L);

// ----------------------------------------------------------------- pointer.c

// Adds `new`, `cast`, `string`, `address` and `type` to the table on top, and
// `methods`: those that read C text, for handles.
void pointer_open(lua_State *L);

// --------------------------------------------------------------- namespace.c

// Adds `namespace` to the table on top.
void namespace_open(lua_State *L);

// ------------------------------------------------------------------- value.c

// Where a value is going, for messages: an argument of a function, counted
// from 1, or an element of memory, counted from 0.
struct value_place {
    const struct reference *reference;
    bool argument;
    lua_Integer number;
    bool result; // what a callback answers
};

// Converts the value at `index` and stores it. Raises when it does not fit the
// type. The cell of a pointer may come to point to what Lua's collector owns:
// the caller keeps the value as long as the cell.
void value_store(lua_State *L, int index, const struct call_type *type,
                 void *cell, const struct value_place *place);

// Pushes what a cell of a scalar type holds.
void value_push(lua_State *L, const struct call_type *type, const void *cell);

// Raises "bad argument #2 to 'add' (int expected, WHY)" or the like.
int value_fault(lua_State *L, const struct call_type *type,
                const struct value_place *place, const char *why);

// ---------------------------------------------------------------- callback.c

void callback_open(lua_State *L);

// Is the value something to call, where C wants a pointer to a function?
bool callback_wanted(lua_State *L, int index, const struct call_type *type);

// Pushes a pointer to a function of that type which calls the value at `index`.
// The function is there as long as that value.
void callback_push(lua_State *L, int index, const struct call_type *function);

// elf.callback; the arguments follow the handle at `scope`, if that is not 0.
int callback_make(lua_State *L, int scope);

// Calls that could not be made, of all states.
extern atomic_ulong callback_missed __attribute__((visibility("hidden")));

// Warns of them, and of those that came too late. Does not raise.
void callback_report(lua_State *L);

static inline bool callback_unreported(void)
{
    return atomic_load_explicit(&callback_missed, memory_order_relaxed)
        || atomic_load_explicit(&call_closure_late, memory_order_relaxed);
}

// ------------------------------------------------------------------ thrown.c

struct _Unwind_Exception;

// Ends an exception that a C function has thrown, and raises what it says.
int thrown_raise(lua_State *L, struct _Unwind_Exception *exception);

#endif
