// Looks names up in a scope, for the files of this room.

#ifndef LINK_FIND_H
#define LINK_FIND_H

#include "../elf/batch.h"
#include "../elf/hash_set.h"
#include "link.h"

// The first definition, but for that of `but`, which is NULL for none. False
// when there is none.
bool find_one(const struct link_scope *scope, const struct elf_name *name,
              enum elf_want want, const struct elf_object *but,
              struct elf_query *found);

// A scope as one list, for many lookups.
struct find_scope {
    const struct elf_object **objects;
    uint32_t count;
    uint32_t self; // the plugin's own position, or how many there are
    const struct link_positions *positions; // or NULL
    const struct hash_set *host; // what the first `hosts` define; or NULL
    uint32_t hosts;
    struct hash_set rivals; // what those before the plugin itself define
};

// `own` is about how many names find_disputed will be asked for.
e64_status find_scope_new(const struct link_scope *from,
                          const struct elf_object *self, uint32_t own,
                          struct find_scope *scope);
void find_scope_free(struct find_scope *scope);

// The first definition of each name. At most ELF_BATCH.
void find_all(const struct find_scope *scope, struct elf_query *queries,
              uint32_t count);

// May an object before the plugin itself define a name of these hashes, whose
// lowest bits are not known? A bit for each; at most ELF_BATCH.
uint64_t find_disputed(const struct find_scope *scope, const uint32_t *hashes,
                       uint32_t count);

#endif
