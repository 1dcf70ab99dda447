// Looks names up in a scope, for the files of this room.

#ifndef LINK_FIND_H
#define LINK_FIND_H

#include "../elf/batch.h"
#include "link.h"

// The first definition, but for that of `but`, which is NULL for none. False
// when there is none.
bool find_one(const struct link_scope *scope, const struct elf_name *name,
              enum elf_want want, const struct elf_object *but,
              struct elf_query *found);

// The first definition of each name. At most ELF_BATCH.
void find_all(const struct link_scope *scope, struct elf_query *queries,
              uint32_t count);

// What stands before an object in a scope, and so may define a name in its
// stead.
struct find_rivals {
    const struct elf_symbols **symbols;
    uint32_t count;
    bool known; // else anything might
};

e64_status find_rivals(const struct link_scope *scope,
                       const struct elf_object *self,
                       struct find_rivals *rivals);
void find_rivals_free(struct find_rivals *rivals);

// May one of them define a name of these hashes, whose lowest bits are not
// known? A bit for each; at most ELF_BATCH.
uint64_t find_disputed(const struct find_rivals *rivals,
                       const uint32_t *hashes, uint32_t count);

#endif
