// What there is instead of a symbol that is not there, for messages.

#ifndef RUN_NEAR_H
#define RUN_NEAR_H

#include "../link/link.h"
#include "demangle.h"

// The better comes first.
enum near_kind {
    NEAR_VERSION,   // the name itself, of another version
    NEAR_SIGNATURE, // the C++ name with other parameters
    NEAR_SPELLING,
};

struct near_name {
    enum near_kind kind;
    uint32_t distance; // for spelling: letters that differ
    const char *name;  // the object's, as its version
    const char *version; // NULL without
    const struct elf_object *object;
};

// One look for names may be followed by others, at a cost that is bounded for
// all of them.
struct near_search {
    const struct link_scope *scope;
    struct demangler demangler;
    uint64_t steps; // that may still be made
};

struct near_search near_begin(const struct link_scope *scope,
                              struct demangler demangler);

// At most `room` of what the objects of the scope define. "play" and
// "mixer::play" are near to _ZN5mixer4playEi as well.
size_t near_names(struct near_search *search, const char *name,
                  struct near_name *near, size_t room);

#endif
