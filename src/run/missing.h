// What resolving a group has found missing, and the failure that comes of it.

#ifndef RUN_MISSING_H
#define RUN_MISSING_H

#include "run.h"
#include "text.h"

struct missing_symbol {
    const struct link_unit *unit; // that wants it
    uint32_t symbol;              // in its table
    uint32_t version;             // as its strtab has it, or 0
    bool told;
};

// A version that a file which is there does not define.
struct missing_version {
    const struct link_unit *unit;
    uint32_t version; // index
    const struct elf_object *object;
};

// What is not kept, for there is too much of it, is counted.
struct missing {
    struct missing_symbol *symbols;
    uint32_t symbol_count, symbol_room, symbol_total;
    struct missing_version *versions;
    uint32_t version_count, version_room, version_total;
    // Where the first that misses something was looked up, when a hook made
    // that scope, which then is one list; else its count is 0.
    struct link_scope scope;
    const struct elf_object **scope_objects; // of that list
};

void missing_add(struct missing *missing, const struct link_unit *unit,
                 uint32_t symbol);
void missing_add_version(struct missing *missing, const struct link_unit *unit,
                         uint32_t version, const struct elf_object *object);
void missing_free(struct missing *missing);

static inline bool missing_any(const struct missing *missing)
{
    return missing->symbol_total || missing->version_total;
}

// E64_VERSION or E64_UNDEFINED, with all that is missing, where it was looked
// for, and what is near to it. The scope is the one that the group has in
// common, or which a hook made. Calls the host's code, and takes the runtime's
// lock.
e64_status missing_fail(struct missing *missing,
                        const struct discovery *discovery,
                        const struct link_scope *scope);

// Which file, where the search would come to if it went on, has the version
// that is missing, and where that is: added to the text; false when none has.
// Makes failures of its own.
bool missing_add_elsewhere(const struct missing_version *missing,
                           const struct discovery *discovery,
                           struct text *text);

// The name of a library of the host family that ldconfig knows and that defines
// the symbol (memory_free), or NULL. Makes failures of its own.
char *missing_library(const struct elf_name *name);

// unexported.c: has a file of that path the symbol in its .symtab, for other
// objects that it was linked from? Makes failures of its own.
bool unexported_has(const char *path, const char *name);

// For missing_report.c: what one version that is missing makes of a message,
// what is to be done about it when nothing is advised yet, and the details.
void missing_add_words(const struct missing_version *missing,
                       const struct discovery *discovery,
                       struct text *text, struct text *advice);
void missing_give_version(const struct missing_version *missing);

#endif
