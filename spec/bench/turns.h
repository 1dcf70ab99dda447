// What a program does that measures both sides itself: the same work by turns,
// the loader's way and glibc's, of which the least counts.

#ifndef TURNS_H
#define TURNS_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

// glibc's side comes first in what is printed, as in sides.lua.
enum { THEIRS, OURS, SIDES };

static inline int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

// Does work of a kind `times` times, with what it is given.
typedef void (*work)(const void *data, long times);

// Picoseconds that one of it takes on each side: the best of so many slices, as
// what else runs on the machine only adds to one. The first is for the caches.
// Where they take long, as many count as begin in half a second.
static inline void take_turns(const work sides[SIDES], const void *data,
                              int slices, long times, int64_t least[SIDES])
{
    int64_t end = INT64_MAX;
    for (int slice = 0; slice <= slices && now() < end; slice++) {
        if (slice == 1)
            end = now() + 500000000;
        for (int turn = 0; turn < SIDES; turn++) {
            int side = (slice + turn) % SIDES;
            int64_t begin = now();
            sides[side](data, times);
            int64_t took = (now() - begin) * 1000 / times;
            if (slice == 1 || (slice > 1 && took < least[side]))
                least[side] = took;
        }
    }
}

#endif
