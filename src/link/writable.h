// Memory for segments that relocations write to all over, for the files of this
// room.

#ifndef LINK_WRITABLE_H
#define LINK_WRITABLE_H

#include "link.h"

// The part of a unit that is read into huge pages, instead of being copied page
// by page as it is written to: [start, end), in vaddrs. Once the unit has its
// address the start is on a boundary of huge pages, and so is `covered`, where
// the last of them ends. Empty when there is none.
struct writable_huge {
    uint64_t start, end, covered;
};

struct writable_huge writable_huge(const struct link_unit *unit);

// The size of a huge page, in bytes.
uint64_t writable_huge_size(void);

// Maps that part and reads it from the file. What is covered behind it is given
// back, or nobody's until it is mapped.
e64_status writable_read(struct link_unit *unit,
                         const struct elf_load *load,
                         const struct writable_huge *huge);

// Has the kernel copy at once what is going to be written to anyway. After all
// is mapped; cannot fail.
void writable_populate(const struct link_unit *unit,
                       const struct writable_huge *huge);

#endif
