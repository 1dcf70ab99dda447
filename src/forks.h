// What fork does to this loader: its locks are held while the process is
// copied, so that what they guard is whole in the child, which makes them new.
//
// They are held for long: handlers of others run in between, and may use what
// is guarded in the thread that forks. So locks let that one in (lock.h).

#ifndef E64_FORKS_H
#define E64_FORKS_H

#include <stdbool.h>

// In the order in which locks are taken where one is taken under another.
enum fork_rank {
    FORK_LOADER, // glibc's own
    FORK_RUN,
    FORK_FRAMES,
    FORK_ADDRESSES,
    FORK_EXITS,
    FORK_TLS,
    FORK_DETOURS,
    FORK_SNAPSHOT,
    FORK_VISITS,
    FORK_CLOSURES,
    FORK_MAPPINGS,
    FORK_RANKS
};

struct fork_part {
    void (*before)(void);
    void (*after)(bool child);
};

// Has a part called from now on, which stays. False when there is no memory for
// handlers; it is tried again the next time.
bool forks_watch(enum fork_rank rank, const struct fork_part *part);

#endif
