// What could not be done is kept in a list, which takes no memory: there may be
// none.

#include "mapping.h"

#include <sys/mman.h>

#include "forks.h"
#include "lock.h"

enum { DROP = -1 }; // as a protection

struct debt {
    void *start;
    size_t size;
    int protection;
};

static struct lock lock = LOCK_INITIALIZER;
static struct debt debts[64];
static unsigned count;

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

static bool pay(const struct debt *debt)
{
    return (debt->protection == DROP
            ? munmap(debt->start, debt->size)
            : mprotect(debt->start, debt->size, debt->protection)) == 0;
}

static bool settle(struct debt debt)
{
    static const struct fork_part part = { before_fork, after_fork };
    forks_watch(FORK_MAPPINGS, &part);
    // Twice, as what the kernel lacks it may lack for a moment only.
    bool paid = pay(&debt) || pay(&debt);
    lock_take(&lock);
    for (unsigned i = count; i-- > 0; )
        if (pay(&debts[i]))
            debts[i] = debts[--count];
    if (!paid && count < sizeof debts / sizeof *debts)
        debts[count++] = debt;
    lock_give(&lock);
    return paid;
}

void mapping_drop(void *start, size_t size)
{
    settle((struct debt){ start, size, DROP });
}

bool mapping_seal(void *start, size_t size, int protection)
{
    return settle((struct debt){ start, size, protection });
}
