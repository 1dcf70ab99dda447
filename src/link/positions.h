// Where in a scope names may be defined, for the files of this room.

#ifndef LINK_POSITIONS_H
#define LINK_POSITIONS_H

#include "link.h"

enum { POSITIONS_LAST = UINT8_MAX }; // stands for all from there on, too

// Nothing before that position of what was indexed defines a name of that hash,
// whose lowest bit may be wrong.
uint32_t positions_first(const struct link_positions *positions,
                         uint32_t hash);

#endif
