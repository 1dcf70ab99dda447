// What resolving one unit is about, for the files of this room.

#ifndef LINK_RESOLVING_H
#define LINK_RESOLVING_H

#include "link.h"

// A definer and its number among those of the bindings.
struct numbered {
    const struct elf_object *definer;
    uint32_t number;
};

enum { NUMBERED_BITS = 5 };

struct resolving {
    struct link_unit *unit;
    const struct link_scope *scope;
    const struct link_context *context;
    // By symbol, the kind of the first relocation of each class: for the
    // policy, so NULL without one.
    uint8_t *kinds[2];
    struct numbered numbered[1 << NUMBERED_BITS]; // by their addresses
    bool undefined;  // something is, and is not weak
    bool static_tls; // is asked for
};

// Something is wrong with the unit's file.
e64_status resolving_bad(const struct link_unit *unit, const char *what);

// Finds the definition of all that is wanted, and enters it.
e64_status resolving_define(struct resolving *resolving);

#endif
