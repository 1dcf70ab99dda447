// Where a unit is mapped.

#ifndef LINK_PLACE_H
#define LINK_PLACE_H

#include "writable.h"

// The unit takes over the mapping that its file has been read by, whose first
// pages are its first segment. False when the two do not fit.
bool place_over_file(struct link_unit *unit, const struct writable_huge *huge);

// Reserves the whole span of its addresses, aligned as the file and the huge
// pages of its data want it, and below 2 GB if the link editor says so.
e64_status place_unit(struct link_unit *unit,
                      const struct writable_huge *huge);

#endif
