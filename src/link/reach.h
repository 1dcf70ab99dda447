// Writing words that may be too narrow, for the files of this room.

#ifndef LINK_REACH_H
#define LINK_REACH_H

#include "reloc.h"

// Writes a relocation to a place that has been checked. Where the value does
// not fit, and the place is in code that the link editor put together, an
// instruction that reaches further takes over; else E64_UNSUPPORTED. The symbol
// is for the message.
e64_status reach_write(const struct link_unit *unit, uint64_t place,
                       uint32_t type, uint32_t symbol,
                       const struct reloc_values *values);

#endif
