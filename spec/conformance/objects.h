// What lies where in this process: the objects that glibc and the loader have
// mapped, and what an address or a word of memory means.

#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "relocations.h"

enum mapper {
    MAPPER_START, // glibc, before the harness opened anything
    MAPPER_GLIBC, // glibc, since then
    MAPPER_US,
};

struct object {
    char *path; // canonical
    uintptr_t base;
    uintptr_t start;
    uintptr_t end;
    uint64_t tls_module; // 0 for none
    uint64_t tls_size;
    enum mapper mapper;
};

struct region {
    uintptr_t start;
    uintptr_t end;
    uint64_t offset;
    bool executable;
    char *path; // "" for anonymous memory, "[stack]" and the like
};

struct process {
    struct object *objects; // sorted by path
    size_t count;
    struct region *regions; // in the order of addresses
    size_t region_count;
    // What `__tls_get_addr` answers to a library that was opened on this side.
    void *(*tls_address)(uint64_t module, uint64_t offset);
};

void process_add(struct process *process, struct object object);

// Adds what glibc lists and `process` does not have yet.
void process_add_host(struct process *process, enum mapper mapper);

// Reads /proc/self/maps again.
void process_read_regions(struct process *process);

void process_sort(struct process *process);

// The object whose range holds the address, or NULL.
const struct object *process_find(const struct process *process,
                                  uintptr_t address);

// The canonical form of a path, newly allocated; the path itself when it names
// no file.
char *canonical(const char *path);

// Prints what the slot of one relocation of `own` holds, as one line
//
//     FLAG \t OFFSET \t TYPE \t SYMBOL \t MEANING [\t MEANING...]
//
// FLAG is '.' for a slot that can be compared by its meaning, '~' for one that
// holds the address of memory which belongs to no file, and '!' for one that
// could not be compared. Several meanings are several readings of one address,
// each of them true: the end of one object may be where the next one begins.
void print_slot(FILE *out, const struct process *process,
                const struct object *own, const struct relocation *relocation);

#endif
