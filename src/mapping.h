// Mappings that are given up, or become what they were.
//
// Where the kernel would have to divide a mapping and the process has as many
// as it may (vm.max_map_count), it refuses to unmap, and to change permissions.
// What could not be done is done along with the next of the kind.

#ifndef E64_MAPPING_H
#define E64_MAPPING_H

#include <stdbool.h>
#include <stddef.h>

void mapping_drop(void *start, size_t size);

// Pages that were made writable for a moment. False when that must wait.
bool mapping_seal(void *start, size_t size, int protection);

#endif
