// Names that somebody may have meant.

#ifndef RUN_SPELLING_H
#define RUN_SPELLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Longer names are near to none.
enum { SPELLING_LONGEST = 256 };

// Does another name differ from one by a third of its letters at most, and by
// three? Letters that are put in, left out, changed or swapped with the next
// are counted; *far is more than any that is near when it is not.
bool spelling_near(const char *name, size_t size, const char *other,
                   size_t other_size, uint32_t *far);

#endif
