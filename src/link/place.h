// Where a unit is mapped.

#ifndef LINK_PLACE_H
#define LINK_PLACE_H

#include "link.h"

// Reserves the whole span of its addresses, aligned as the file wants it, and
// below 2 GB if the link editor says so.
e64_status place_unit(struct link_unit *unit);

#endif
