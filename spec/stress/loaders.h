// What the files of the stress of two loaders share.

#ifndef STRESS_LOADERS_H
#define STRESS_LOADERS_H

#include <elf64load.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plugins/program.h"

enum {
    FILES = 256,   // most numbers
    THREADS = 64,  // most threads that stay for a round
    RUNTIMES = 2,
};

// One of the files, by the number that it has.
struct file {
    char *path;   // NULL: no file has the number
    int owner;    // the thread that opens it alone, or -1
    // As the list says, by letters.
    bool host;    // h: the host opens it
    bool global;  // g: it is opened `global`
    bool throws;  // t: has a function to call something through
    bool brief;   // b: leaves objects in the threads that call it
    bool stays;   // s: is never unloaded
    bool foreign; // f: may stay where it is opened as the first of its kind
    atomic_long begun, ended, made;
    atomic_int handed; // see stress_any
};

extern struct file files[FILES];
extern e64_runtime *runtimes[RUNTIMES];
extern int thread_count;
extern atomic_bool stopping;

// What was done.
struct counts {
    atomic_long opens, lookups, throws, host_opens, threads, forks, wrong;
};
extern struct counts counts;

// A failure, which is printed and counted.
void wrong(int file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// -------------------------------------------------------------- tasks.c ---

// A thread of a round, until `stopping`.
void *tasks_run(void *number);
void tasks_seed(unsigned long seed);
void tasks_begin_round(long number);
// Opens all files once in both runtimes: what stays, stays from then on.
void tasks_warm(void);
// Opens something once more: what the loader remembers of the host is of now.
void tasks_settle(void);
// Children are not made, for the sake of a sanitizer.
void tasks_without_fork(void);

// ------------------------------------------------------------- census.c ---

// What the process has.
struct census {
    long mappings;    // of files that need not stay
    long staying;     // of the others
    long descriptors;
    long blocks;      // of the loader's own memory
    long resident;    // KB
};

// Counts the loader's memory; before the first runtime.
void census_begin(void);
void census_take(struct census *census);

#endif
