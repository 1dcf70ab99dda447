// Mappings that are given up.

#ifndef E64_MAPPING_H
#define E64_MAPPING_H

#include <stddef.h>

// Unmaps. Where the kernel would have to divide a mapping and the process has as
// many as it may (vm.max_map_count), it refuses: then that is done along with
// the next that is unmapped.
void mapping_drop(void *start, size_t size);

#endif
