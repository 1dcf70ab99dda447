// What the policy provides in place of libraries that are asked for by name.

#ifndef RUN_PROVIDE_H
#define RUN_PROVIDE_H

#include "hooks.h"

// What stands for a name that `wanter` needs, NULL: whoever opens it; or NULL.
const struct provided *provide_rule(const struct discovery *discovery,
                                    const e64_plugin *wanter,
                                    const char *name);

const struct provided *provide_by_name(const e64_runtime *runtime,
                                       const e64_plugin *wanter,
                                       const char *name);

// The object that this is, read but not mapped when it is new.
e64_status provide_find(struct discovery *discovery,
                        const struct provided *rule, const char *name,
                        e64_plugin *wanter, bool isolated,
                        const struct elf_object **found);

// Without looking further than what is open already; NULL when it is not. The
// rule may be NULL.
const struct elf_object *provide_open(struct discovery *discovery,
                                      const struct provided *rule,
                                      const char *name);

// Is it no file to look for? And else by which name is it looked for?
bool provide_is_made(const struct provided *rule);
const char *provide_name(const struct provided *rule, const char *name);

// Has another thread opened it meanwhile? With the runtime's lock held.
bool provide_registered(const e64_runtime *runtime,
                        const struct provided *rule);

#endif
