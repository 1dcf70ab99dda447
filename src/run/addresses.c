// Which plugin lies at an address.
//
// Two sorted tables: a large one, and a small one of what came since the large
// one was made. Each addition makes a new small table, and now and then both
// become one, so that an addition does not cost the more the more is open. What
// is removed is made empty in place, which cannot fail, and left out of the
// tables that are made later, which they are when most has been removed, too.
//
// Readers are counted in two epochs. A writer that has published something lets
// new readers count in the other epoch, waits until the old one has none, and
// does so once more: who loaded the epoch's number long ago may count late, but
// then sees what was published before.

#include "addresses.h"

#include <sched.h>
#include <time.h>

#include "../error.h"
#include "../forks.h"
#include "../memory.h"

// The small table becomes part of the large one when it has as many.
enum { SMALL = 64 };

struct table {
    struct address_retired retired;
    struct table *large; // of a small one; or NULL
    uint32_t count;
    struct address_entry entries[]; // ascending
};

static _Atomic(struct table *) current;
static atomic_uint epoch;
static atomic_ulong readers[2];
// Of these, those on this thread's stack.
static __thread unsigned long own[2]
    __attribute__((tls_model("initial-exec")));

// Guards what writers do. A leaf: no lock is taken under it, and neither
// glibc's loader nor a plugin is called. It is not held while waiting for
// readers, one of which may want to write.
static struct lock lock = LOCK_INITIALIZER;
static struct address_retired *retired;
// Held by the one who waits. Taken without `lock`.
static struct lock waiting = LOCK_INITIALIZER;
static atomic_ullong added, removed;

// -------------------------------------------------------------- reading ---

unsigned addresses_enter(void)
{
    unsigned ticket = atomic_load(&epoch) & 1;
    own[ticket]++;
    atomic_fetch_add(&readers[ticket], 1);
    return ticket;
}

void addresses_leave(unsigned ticket)
{
    atomic_fetch_sub(&readers[ticket], 1);
    own[ticket]--;
}

static const struct address_entry *search(const struct table *table,
                                          uintptr_t address)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->entries[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    // What has been withdrawn may stand before what now is in its place.
    while (low-- > 0) {
        const struct address_entry *entry = &table->entries[low];
        uintptr_t end = atomic_load_explicit(&entry->end,
                                             memory_order_acquire);
        if (address < end)
            return entry;
        if (end != entry->start)
            return NULL;
    }
    return NULL;
}

const struct address_entry *addresses_find(uintptr_t address)
{
    const struct table *table = atomic_load(&current);
    const struct address_entry *found = NULL;
    for (; table && !found; table = table->large)
        found = search(table, address);
    return found;
}

int addresses_each(int (*visit)(void *data, const struct address_entry *entry),
                   void *data)
{
    int answer = 0;
    for (const struct table *table = atomic_load(&current); table && !answer;
         table = table->large)
        for (uint32_t i = 0; i < table->count && !answer; i++) {
            const struct address_entry *entry = &table->entries[i];
            if (atomic_load(&entry->end) != entry->start)
                answer = visit(data, entry);
        }
    return answer;
}

void addresses_counts(uint64_t *adds, uint64_t *subs)
{
    *subs = atomic_load(&removed); // first: never more than added
    *adds = atomic_load(&added);
}

// -------------------------------------------------------------- writing ---

static void wait_for(const atomic_ulong *count)
{
    static const struct timespec moment = { .tv_nsec = 50000 };
    for (unsigned tries = 0; atomic_load(count); tries++) {
        // A reader of lower priority must get to run.
        if (tries < 100)
            sched_yield();
        else
            nanosleep(&moment, NULL);
    }
}

bool addresses_are_read(void)
{
    return own[0] || own[1];
}

// Waits until nobody can have what is not published any more, and frees it.
static void settle(void)
{
    // A callback that was called from addresses_each would wait for itself.
    if (addresses_are_read())
        return;
    lock_take(&lock);
    struct address_retired *blocks = retired;
    retired = NULL;
    lock_give(&lock);
    lock_take(&waiting);
    for (int pass = 0; pass < 2; pass++)
        wait_for(&readers[atomic_fetch_add(&epoch, 1) & 1]);
    lock_give(&waiting);
    while (blocks) {
        struct address_retired *block = blocks;
        blocks = block->next;
        memory_free(block);
    }
}

static void retire(struct table *table)
{
    if (table) {
        table->retired.next = retired;
        retired = &table->retired;
    }
}

void addresses_retire(struct address_retired *block)
{
    lock_take(&lock);
    block->next = retired;
    retired = block;
    lock_give(&lock);
}

void addresses_settle(void)
{
    lock_take(&lock);
    bool some = retired != NULL;
    lock_give(&lock);
    if (some)
        settle();
}

static size_t table_size(uint32_t count)
{
    // Few sizes, so that a table fits where an earlier one was.
    uint32_t room = (count + 15) & ~15u;
    return sizeof(struct table) + room * sizeof(struct address_entry);
}

static struct table *table_new(uint32_t room)
{
    return memory_new(table_size(room));
}

static void append(struct table *table, const struct address_entry *entry)
{
    uintptr_t end = atomic_load(&entry->end);
    if (end == entry->start)
        return;
    struct address_entry *copy = &table->entries[table->count++];
    copy->start = entry->start;
    atomic_init(&copy->end, end);
    copy->unwind = entry->unwind;
    copy->plugin = entry->plugin;
}

// Puts what two tables have into one, in order; either may be NULL.
static void merge(struct table *into, const struct table *one,
                  const struct table *other)
{
    uint32_t i = 0, k = 0;
    uint32_t count = one ? one->count : 0, more = other ? other->count : 0;
    while (i < count || k < more) {
        if (k == more || (i < count
                          && one->entries[i].start < other->entries[k].start))
            append(into, &one->entries[i++]);
        else
            append(into, &other->entries[k++]);
    }
}

static void insert(struct table *table, e64_plugin *plugin)
{
    const struct link_unit *unit = &plugin->unit;
    uint32_t at = table->count++;
    for (; at > 0 && table->entries[at - 1].start > unit->object.start; at--) {
        struct address_entry *to = &table->entries[at];
        const struct address_entry *from = to - 1;
        to->start = from->start;
        atomic_init(&to->end, atomic_load(&from->end));
        to->unwind = from->unwind;
        to->plugin = from->plugin;
    }
    struct address_entry *entry = &table->entries[at];
    entry->start = unit->object.start;
    atomic_init(&entry->end, unit->object.end);
    entry->unwind = unit->image.unwind.vaddr
                  ? (const void *)(unit->object.bias + unit->image.unwind.vaddr)
                  : NULL;
    entry->plugin = plugin;
}

// With the lock held.
static e64_status add(e64_plugin *const *plugins, uint32_t count)
{
    struct table *old = atomic_load(&current);
    struct table *large = old ? old->large : NULL;
    uint32_t before = old ? old->count : 0;
    struct table *small = table_new(before + count);
    if (!small)
        return fail_memory(table_size(before + count));
    merge(small, old, NULL);
    for (uint32_t i = 0; i < count; i++)
        insert(small, plugins[i]);
    small->large = large;
    if (small->count >= SMALL) {
        struct table *both = table_new(small->count
                                       + (large ? large->count : 0));
        // Without the memory it stays as it is until the next time.
        if (both) {
            merge(both, small, large);
            memory_free(small);
            small = both;
            // A table of its own, above which small ones come to stand.
            struct table *top = table_new(0);
            if (top) {
                top->large = both;
                small = top;
            }
            retire(large);
        }
    }
    atomic_store(&current, small);
    atomic_fetch_add(&added, count);
    retire(old);
    return E64_OK;
}

// In a child only the thread that forked goes on.
static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    if (child) {
        atomic_store(&readers[0], own[0]);
        atomic_store(&readers[1], own[1]);
        lock_make(&waiting);
    }
    lock_after_fork(&lock, child);
}

static const struct fork_part fork_part = { before_fork, after_fork };

e64_status addresses_add(e64_plugin *const *plugins, uint32_t count)
{
    forks_watch(FORK_ADDRESSES, &fork_part);
    if (!count)
        return E64_OK;
    lock_take(&lock);
    e64_status status = add(plugins, count);
    lock_give(&lock);
    settle();
    return status;
}

static bool withdraw(const e64_plugin *plugin)
{
    uintptr_t start = plugin->unit.object.start;
    for (struct table *table = atomic_load(&current); table;
         table = table->large)
        for (uint32_t low = 0, high = table->count; low < high; ) {
            uint32_t middle = low + (high - low) / 2;
            struct address_entry *entry = &table->entries[middle];
            if (entry->start < start)
                low = middle + 1;
            else if (entry->start > start)
                high = middle;
            else if (entry->plugin == plugin
                     && atomic_load(&entry->end) != start) {
                // Another one's, of before, may look like its own.
                atomic_store(&entry->end, start);
                return true;
            } else
                break;
        }
    return false;
}

// Gives back what many needed, when most of it is empty. Without the memory for
// that it stays as it is. With the lock held.
static void shrink(void)
{
    struct table *old = atomic_load(&current);
    uint64_t left = atomic_load(&added) - atomic_load(&removed);
    uint64_t empty = old->count + (old->large ? old->large->count : 0) - left;
    struct table *top = NULL, *rest = NULL;
    if (left) {
        if (empty < SMALL || empty < left)
            return;
        top = table_new(0);
        rest = table_new((uint32_t)left);
        if (!top || !rest) {
            memory_free(top);
            memory_free(rest);
            return;
        }
        merge(rest, old, old->large);
        top->large = rest;
    }
    atomic_store(&current, top);
    retire(old->large);
    retire(old);
}

void addresses_remove(e64_plugin *const *plugins, uint32_t count)
{
    uint32_t found = 0;
    lock_take(&lock);
    for (uint32_t i = 0; i < count; i++)
        found += withdraw(plugins[i]);
    atomic_fetch_add(&removed, found);
    if (found)
        shrink();
    lock_give(&lock);
    if (found)
        settle();
}
