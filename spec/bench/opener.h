// How one side opens libraries: theirs.c by dlopen, ours.c by the loader.

#ifndef OPENER_H
#define OPENER_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int64_t total; // all but constructors
    int64_t setup; // of it: what comes once a process, before any library
    int64_t map;
    int64_t resolve; // theirs: resolve and apply are one
    int64_t apply;
    int64_t init; // constructors, not in total
};

// Opens a library that the measured one needs. Failures end the process.
void opener_dependency(const char *path);

// Whether it is open already on this side.
bool opener_has(const char *path);

// Opens a library and gives the address of a function of its. Failures end the
// process.
void *opener_function(const char *path, const char *name);

// Makes of an object file what opener_function can open, and gives its path.
// Failures end the process.
const char *opener_linked(const char *object);

// Opens a library, and closes what that gave. Failures end the process.
void *opener_open(const char *path);
void opener_close(void *opened);

// Opens the library and measures. Nothing was opened but by
// opener_dependency. With `lazy` calls are left to be bound when they are made.
// Failures end the process.
void opener_measure(const char *path, bool lazy, struct sample *sample);

#endif
