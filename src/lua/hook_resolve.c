// The hook `resolve` of runtimes in Lua.

#include "asking.h"

#include <lauxlib.h>
#include <stdio.h>

#include "error.h"
#include "fields.h"
#include "handle.h"
#include "memory.h"
#include "run/demangle.h"
#include "run/run.h"
#include "symbol.h"

static const char *const kinds[] = {
    [E64_IMPORT_CALL] = "call",
    [E64_IMPORT_ADDRESS] = "address",
    [E64_IMPORT_TLS] = "tls",
    [E64_IMPORT_SIZE] = "size",
};

// What C++ calls it, where the process has who knows.
static void set_demangled(lua_State *L, const char *name)
{
    struct host_snapshot *snapshot;
    struct host_hold hold;
    if (name[0] != '_' || name[1] != 'Z'
        || host_hold(&snapshot, &hold) != E64_OK)
        return;
    struct demangler demangler = demangler_in(snapshot);
    char *text = demangle(&demangler, name), copy[1024];
    snprintf(copy, sizeof copy, "%s", text ? text : "");
    memory_free(text);
    host_let_go(&hold);
    host_snapshot_release(snapshot);
    if (*copy)
        field_text(L, "demangled", copy);
}

// resolve { name, version, demangled, wanter, kind, weak } -> address, symbol.
// The second one is what it is the address of, if it is one.
static int push_import(lua_State *L, const struct question *question)
{
    const e64_import *import = question->import;
    lua_createtable(L, 0, 6);
    field_text(L, "name", import->name);
    field_text(L, "version", import->version);
    set_demangled(L, import->name);
    field_text(L, "kind", kinds[import->kind]);
    field_boolean(L, "weak", import->weak);
    runtime_push(L, question->runtime);
    handle_set(handle_push(L, -1), import->wanter, false);
    lua_setfield(L, -3, "wanter");
    lua_pop(L, 1);
    return 1;
}

static e64_status resolve(void *data, e64_runtime *self,
                          const e64_import *import, e64_symbol *symbol,
                          e64_error *error)
{
    struct question question = {
        .runtime = data, .hook = "resolve",
        .about = import->wanter->unit.object.name, .import = import,
        .push = push_import, .answers = 2,
    };
    lua_State *L;
    e64_status status = ask(&question, &L, error);
    if (status != E64_OK) {
        asked(&question);
        return status;
    }
    int answer = lua_gettop(L) - 1;
    const struct lua_symbol *owner = symbol_test(L, answer + 1);
    symbol->address = (void *)(intptr_t)lua_tointeger(L, answer);
    if (owner && owner->plugin && owner->plugin->runtime == self) {
        symbol->plugin = owner->plugin;
        symbol->size = owner->symbol.size;
        symbol->kind = owner->symbol.kind;
    }
    lua_settop(L, answer - 1);
    asked(&question);
    return symbol->address ? E64_OK : E64_NOTFOUND;
}

static e64_status resolve_ended(void *data, e64_runtime *self,
                                const e64_import *import, e64_symbol *symbol,
                                e64_error *error)
{
    (void)data, (void)self, (void)symbol;
    return ask_import_ended("resolve", import, error);
}

void hook_resolve_import(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->resolve = change == HOOK_SET ? resolve
                   : change == HOOK_END && hooks->resolve ? resolve_ended
                   : NULL;
    hooks->resolve_data = self;
}
