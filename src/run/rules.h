// The rules for plugins' imports, compiled when a runtime is made, and which of
// them are a plugin's.

#ifndef RUN_RULES_H
#define RUN_RULES_H

#include "../elf64load.h"
#include "names.h"

// The names that are intercepted, and how: in the order of the places of names.
struct intercepts {
    struct name_set *names;
    e64_intercept *all;
};

// What stands for a library, and under which names.
struct provided {
    e64_provide_kind kind;
    char *path;        // also that of the source
    e64_source source; // of a table the shared object that defines it
    char *name;        // of the source
    void *written;     // to be unmapped
};

struct provides {
    struct name_set *names;
    struct provided *all;
    uint32_t count;
};

// What holds for one plugin; what is NULL has nothing to say.
struct rules {
    const struct name_set *allow, *deny;
    const struct name_set *own_deny; // besides the runtime's
    const struct intercepts *intercept;
    const struct provides *provide;
};

// All rules of a runtime, or NULL.
struct policy;

e64_status policy_make(const e64_runtime_options *options,
                       struct policy **policy);
void policy_free(struct policy *policy);

// Which rules are those of a plugin of that path, asked for by that name? NULL
// and NULL: of the program. `policy` may be NULL.
struct rules policy_rules(const struct policy *policy, const char *path,
                          const char *name);

// Do they say nothing about what a plugin imports?
static inline bool rules_are_empty(const struct rules *rules)
{
    return !rules->allow && !rules->deny && !rules->own_deny
        && !rules->intercept;
}

// Is a name denied? *by becomes the pattern that denies it, or NULL when it is
// missing in `allow`.
bool rules_deny(const struct rules *rules, const char *name, const char **by);

// How a name is to be intercepted, or NULL.
const e64_intercept *rules_intercept(const struct rules *rules,
                                     const char *name);

// What stands for a library that is asked for by that name, or NULL.
const struct provided *rules_provide(const struct rules *rules,
                                     const char *name);

#endif
