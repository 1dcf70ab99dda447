// What a plan tells, as Lua tables. Objects are told of by their paths.

#include "plan.h"

#include <lauxlib.h>
#include <string.h>

#include "fields.h"
#include "symbol.h"

static const char *const states[] = {
    [E64_PLAN_NEW] = "new",
    [E64_PLAN_OPEN] = "open",
    [E64_PLAN_HOST] = "host",
    [E64_PLAN_FAMILY] = "family",
    [E64_PLAN_ABSENT] = "absent",
};

// What is false is left out.
static void set_flag(lua_State *L, const char *name, bool flag)
{
    if (flag) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, name);
    }
}

static void set_object(lua_State *L, const char *name,
                       const e64_plan_object *object)
{
    if (object)
        field_text(L, name, object->path ? object->path : object->name);
}

static void set_wanters(lua_State *L, const e64_plan_object *const *wanters,
                        size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, wanters[i]->path);
        field_append(L);
    }
    lua_setfield(L, -2, "wanters");
}

static void set_counts(lua_State *L, const e64_count *counts, size_t count)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++)
        field_number(L, counts[i].name, counts[i].count);
}

static void set_probes(lua_State *L, const e64_plan_object *object)
{
    lua_createtable(L, (int)object->probe_count, 0);
    for (size_t i = 0; i < object->probe_count; i++) {
        const e64_probe *probe = &object->probes[i];
        lua_createtable(L, 0, 4);
        field_text(L, "path", probe->path);
        field_text(L, "place", probe->place);
        field_text(L, "owner", probe->owner);
        field_text(L, "result", probe->result == E64_OK ? "taken"
                                : e64_status_name(probe->result));
        field_append(L);
    }
    lua_setfield(L, -2, "probes");
}

static void push_memory(lua_State *L, uint64_t total, uint64_t code,
                        uint64_t data, uint64_t sealed)
{
    lua_createtable(L, 0, 4);
    field_number(L, "total", total);
    field_number(L, "code", code);
    field_number(L, "data", data);
    field_number(L, "sealed", sealed);
}

// An object by a name that stands for it.
static void push_named(lua_State *L, const e64_plan_object *object,
                       const char *name)
{
    luaL_checkstack(L, 8, "a plan's tree is too deep");
    lua_createtable(L, 0, 12);
    field_text(L, "name", name);
    field_text(L, "path", object->path);
    field_text(L, "state", states[object->state]);
}

// For the table on top: what the object is and how it came into the plan.
static void set_rest(lua_State *L, const e64_plan_object *object)
{
    field_text(L, "soname", object->soname);
    set_object(L, "wanter", object->wanter);
    field_text(L, "why", object->why);
    if (object->state == E64_PLAN_ABSENT) {
        field_text(L, "kind", e64_status_name(object->status));
        field_text(L, "message", object->message);
    }
    set_probes(L, object);
}

// What a new one takes.
static void set_sizes(lua_State *L, const e64_plan_object *object)
{
    if (object->state != E64_PLAN_NEW)
        return;
    set_counts(L, object->relocations, object->relocation_count);
    lua_setfield(L, -2, "relocations");
    push_memory(L, object->memory, object->code, object->data, object->sealed);
    lua_setfield(L, -2, "memory");
    if (!object->tls_size)
        return;
    lua_createtable(L, 0, 3);
    field_number(L, "size", object->tls_size);
    field_number(L, "align", object->tls_align);
    set_flag(L, "fixed", object->tls_fixed);
    lua_setfield(L, -2, "tls");
}

static int add_object(void *data, const e64_plan_object *object)
{
    lua_State *L = data;
    push_named(L, object, object->name);
    set_rest(L, object);
    set_sizes(L, object);
    lua_createtable(L, (int)object->need_count, 0);
    for (size_t i = 0; i < object->need_count; i++) {
        lua_createtable(L, 0, 3);
        field_text(L, "name", object->needs[i].name);
        field_text(L, "kind", object->needs[i].kind);
        set_object(L, "path", object->needs[i].object);
        field_append(L);
    }
    lua_setfield(L, -2, "needs");
    field_append(L);
    return 0;
}

// Each object is told of in full where it comes up first. The set of those that
// have been stands at `seen`.
static void push_tree(lua_State *L, const e64_plan_object *object,
                      const e64_need *need, int seen)
{
    push_named(L, object, need ? need->name : object->name);
    field_text(L, "as", need ? need->kind : NULL);
    if (lua_rawgetp(L, seen, object) != LUA_TNIL) {
        lua_pop(L, 1);
        set_flag(L, "repeated", true);
        return;
    }
    lua_pop(L, 1);
    set_rest(L, object);
    lua_pushboolean(L, true);
    lua_rawsetp(L, seen, object);
    lua_createtable(L, (int)object->need_count, 0);
    for (size_t i = 0; i < object->need_count; i++) {
        push_tree(L, object->needs[i].object, &object->needs[i], seen);
        field_append(L);
    }
    lua_setfield(L, -2, "needs");
}

static int add_binding(void *data, const e64_plan_binding *binding)
{
    lua_State *L = data;
    lua_createtable(L, 0, 8);
    set_object(L, "wanter", binding->wanter);
    field_text(L, "symbol", binding->symbol);
    field_text(L, "version", binding->version);
    set_flag(L, "weak", binding->weak);
    set_flag(L, "denied", binding->denied);
    if (binding->provider) {
        set_object(L, "provider", binding->provider);
        field_text(L, "provided", binding->provided);
        field_text(L, "kind", symbol_kind_name(binding->kind));
        field_number(L, "offset", binding->offset);
        set_object(L, "runner_up", binding->runner_up);
        field_text(L, "runner_up_version", binding->runner_up_version);
        set_flag(L, "absolute", binding->absolute);
        set_flag(L, "unique", binding->unique);
        set_flag(L, "vague", binding->vague);
        set_flag(L, "loader", binding->loader);
        set_flag(L, "intercepted", binding->intercepted);
        set_flag(L, "resolved", binding->resolved);
        set_flag(L, "defined", binding->defined);
    }
    field_append(L);
    return 0;
}

static int add_clash(void *data, const e64_clash *clash)
{
    lua_State *L = data;
    lua_createtable(L, 0, 6);
    field_text(L, "symbol", clash->symbol);
    field_text(L, "version", clash->version);
    set_object(L, "provider", clash->provider);
    set_object(L, "runner_up", clash->runner_up);
    set_flag(L, "vague", clash->vague);
    set_wanters(L, clash->wanters, clash->wanter_count);
    field_append(L);
    return 0;
}

static int add_missing(void *data, const e64_missing *missing)
{
    lua_State *L = data;
    lua_createtable(L, 0, 6);
    field_text(L, "kind", e64_status_name(missing->status));
    field_text(L, "symbol", missing->symbol);
    field_text(L, "version", missing->version);
    field_text(L, "library", missing->library);
    field_text(L, "message", missing->message);
    set_wanters(L, missing->wanters, missing->wanter_count);
    field_append(L);
    return 0;
}

static int add_start(void *data, const e64_plan_object *object)
{
    lua_State *L = data;
    lua_pushstring(L, object->path);
    field_append(L);
    return 0;
}

// ---------------------------------------------------------------- fields ---

static void push_objects(lua_State *L, const struct e64_plan *plan)
{
    lua_newtable(L);
    e64_plan_objects(plan, add_object, L);
}

static void push_whole_tree(lua_State *L, const struct e64_plan *plan)
{
    e64_plan_info info;
    e64_plan_describe(plan, &info);
    lua_newtable(L);
    push_tree(L, info.root, NULL, lua_gettop(L));
    lua_remove(L, -2);
}

static void push_bindings(lua_State *L, const struct e64_plan *plan)
{
    e64_plan_info info;
    e64_plan_describe(plan, &info);
    lua_createtable(L, (int)info.bindings, 0);
    e64_plan_bindings(plan, add_binding, L);
}

static void push_clashes(lua_State *L, const struct e64_plan *plan)
{
    lua_newtable(L);
    e64_plan_clashes(plan, add_clash, L);
}

static void push_missing(lua_State *L, const struct e64_plan *plan)
{
    lua_newtable(L);
    e64_plan_missing(plan, add_missing, L);
}

static void push_order(lua_State *L, const struct e64_plan *plan)
{
    lua_newtable(L);
    e64_plan_starts(plan, add_start, L);
}

static void push_info(lua_State *L, const struct e64_plan *plan,
                      const char *field)
{
    e64_plan_info info;
    e64_plan_describe(plan, &info);
    if (strcmp(field, "name") == 0) {
        lua_pushstring(L, info.name);
    } else if (strcmp(field, "path") == 0) {
        lua_pushstring(L, info.root->path);
    } else if (strcmp(field, "kind") == 0) {
        lua_pushstring(L, info.message ? e64_status_name(info.status) : NULL);
    } else if (strcmp(field, "message") == 0) {
        lua_pushstring(L, info.message);
    } else if (strcmp(field, "relocations") == 0) {
        set_counts(L, info.relocations, info.relocation_count);
    } else if (strcmp(field, "memory") == 0) {
        push_memory(L, info.memory, info.code, info.data, info.sealed);
    } else if (strcmp(field, "tls") == 0) {
        lua_createtable(L, 0, 3);
        field_number(L, "fixed", info.tls_fixed);
        field_number(L, "dynamic", info.tls_dynamic);
        field_number(L, "room", info.tls_room);
    } else {
        lua_pushnil(L);
    }
}

bool plan_field(lua_State *L, const struct e64_plan *plan, const char *field)
{
    static const struct {
        const char *name;
        void (*push)(lua_State *L, const struct e64_plan *plan);
    } fields[] = {
        { "objects", push_objects },
        { "tree", push_whole_tree },
        { "bindings", push_bindings },
        { "clashes", push_clashes },
        { "missing", push_missing },
        { "order", push_order },
    };
    luaL_checkstack(L, 16, NULL);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].name, field) == 0) {
            fields[i].push(L, plan);
            return true;
        }
    }
    push_info(L, plan, field);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}
