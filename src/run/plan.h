// Plans while they are made, and what they hold: for plan*.c and the files that
// discover and bind.

#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "../arena.h"
#include "run.h"

// What an object of a plan must still be when it is committed.
struct plan_identity {
    bool identified;
    dev_t device;
    ino_t inode;
    uint64_t size;
    struct timespec modified, changed;
    uint64_t digest; // of the bytes of what is not identified
};

struct plan_object {
    e64_plan_object shown; // the first member
    const struct elf_object *object; // while the plan is made
    struct plan_identity identity;   // of what is new, or foreseen
    e64_plugin *plugin;              // the record of what is open, held
    uintptr_t base;                  // of what is the host's
    size_t first_binding, binding_count; // of what is new
    uint32_t hash_next;              // plan_store.c: place plus one; or 0
};

// One search while it lasts. Searches of the same thread may be nested.
struct plan_step {
    struct plan_step *outer;
    const char *name;
    e64_plugin *wanter;
    e64_probe *probes; // in the plan's store, `room` of them
    size_t count, room;
    bool asked;    // the hook answered
    bool provided; // the policy says what stands for it
    bool failed; // to note something, for want of memory
};

struct plan_text;

struct e64_plan {
    e64_runtime *runtime;
    char *name;
    e64_open_options options;
    e64_plan_info info;

    struct plan_object **objects;
    uint32_t object_count, object_room;
    uint32_t scope_count; // of them, those of the root's scope
    e64_plan_binding *bindings;
    size_t binding_count, binding_room;
    e64_clash *clashes;
    e64_missing *missing;
    size_t clash_room, missing_room;
    const e64_plan_object **starts;

    // plan_store.c: memory that goes along with the plan, and texts by hash.
    struct arena memory; // plan_memory
    struct plan_text **texts;
    uint32_t text_count, text_room;
    uint32_t *slots; // objects by their elf_object
    uint32_t slot_count;

    bool failed; // to note something, for want of memory
    struct plan_step *step; // the innermost
    struct plan_step last;  // that has ended
};

// ------------------------------------------------------------- plan.c ---
// For open.c.

// A discovery begins on the plan's behalf, maybe not the first one.
e64_status plan_start(struct discovery *discovery);
// It has come to this. `fresh` is the root's plugin when that is new.
e64_status plan_finish(struct discovery *discovery,
                       const struct elf_object *root, const e64_plugin *fresh,
                       const struct elf_object *const *scope, uint32_t count);

// ------------------------------------------------------- plan_store.c ---

// Zeroed memory that lives as long as the plan; NULL, and a failure.
void *plan_memory(struct e64_plan *plan, size_t size);
// The plan's own copy of a text, one for all that are equal; NULL stays NULL.
// E64_NOMEMORY.
e64_status plan_text(struct e64_plan *plan, const char *text,
                     const char **copy);
// The record of an object, made when there is none: *made says so.
e64_status plan_object(struct e64_plan *plan, const struct elf_object *object,
                       struct plan_object **record, bool *made);
// One that stands for nothing that was read.
e64_status plan_absent(struct e64_plan *plan, struct plan_object **record);
// Takes back what was added last, and has no plugin's record yet.
void plan_take_back(struct e64_plan *plan, uint32_t count);
// The order of the objects has changed.
void plan_refile(struct e64_plan *plan);
// All that was found out; what was asked for stays.
void plan_store_free(struct e64_plan *plan);

// ------------------------------------------------------ plan_search.c ---
// For those who discover.

void plan_begin(struct e64_plan *plan, struct plan_step *step,
                const char *name, e64_plugin *wanter);
// Is it one that the runtime had before? What is new has no turn yet.
static inline bool plan_is_open(const e64_plugin *plugin)
{
    return plugin->turn != 0;
}

// Told of each file that is tried: data is the plan.
void plan_probe(void *data, const struct search_probe *probe);
// The search hook answered; the policy provides it.
void plan_asked(struct e64_plan *plan);
void plan_provided(struct e64_plan *plan);
// Notes what was found. A failure is passed on.
e64_status plan_end(struct discovery *discovery, struct plan_step *step,
                    e64_status status, const struct elf_object *found);
// What a plugin needs cannot be had, as the pending failure says: noted.
e64_status plan_without(struct e64_plan *plan, const char *name,
                        e64_plugin *wanter, e64_status status);
// Was that noted of a name?
const struct plan_object *plan_lacks(const struct e64_plan *plan,
                                     const e64_plugin *wanter,
                                     const char *name);
// What glibc would open, by a path, or by the name when that is the same.
e64_status plan_family(struct discovery *discovery, const char *name,
                       const char *path, const struct elf_object **found);

// ----------------------------------------------------- plan_objects.c ---

// The record of an object with all that the object itself tells.
e64_status plan_know(struct e64_plan *plan, const struct elf_object *object,
                     struct plan_object **record);
// What each needs, and the order in which they are looked through: the scope
// first. Once all is bound.
e64_status plan_describe_all(struct discovery *discovery,
                             const struct elf_object *const *scope,
                             uint32_t count);
struct plan_identity plan_identify(const struct elf_file *file);

// ---------------------------------------------------- plan_bindings.c ---

// Takes over what one plugin's imports were bound to in that scope.
e64_status plan_bind(struct discovery *discovery, e64_plugin *plugin,
                     const struct link_scope *scope);

// ------------------------------------------------------ plan_gather.c ---

// A version that a file should define and does not. What fails shows later.
void plan_old(struct e64_plan *plan, const struct link_unit *unit,
              uint32_t version, const struct elf_object *object);
// For resolving, with the discovery: is a file known to be missing?
bool plan_absent_file(void *data, const struct link_unit *unit,
                      const char *file);
// The pending failure is what the open would end with: noted, and E64_OK.
e64_status plan_fails(struct e64_plan *plan, e64_status status);
// Gathers clashes and what is missing. Once all is bound.
e64_status plan_gather(struct e64_plan *plan);

// -------------------------------------------------------- plan_check.c ---

// Have the files of the plan changed, as far as that can be seen?
e64_status plan_check_files(const struct e64_plan *plan);
// Does a discovery come to the same objects, and are the plugins that are new
// bound as planned? E64_CHANGED with what is not so.
e64_status plan_check_objects(struct discovery *discovery,
                              const struct elf_object *root,
                              const struct elf_object *const *scope,
                              uint32_t count);
e64_status plan_check_bindings(struct discovery *discovery,
                               const e64_plugin *root);
// And are they started in that order?
e64_status plan_check_starts(struct discovery *discovery,
                             const e64_plugin *root);

#endif
