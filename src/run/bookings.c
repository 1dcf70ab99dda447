// What points into plugins, booked.

#include "bookings.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "../memory.h"

enum { BUCKETS = 1024 };

// Guards the lists. Nothing but what visits a booking is called under it, and
// no other lock is held when it is taken.
static struct lock lock = LOCK_INITIALIZER;
static struct booking *buckets[BUCKETS];

static struct booking **bucket_of(uintptr_t key)
{
    return &buckets[(key >> 4 ^ key) % BUCKETS];
}

static void unchain(struct booking *booking)
{
    struct booking **at = bucket_of(booking->key);
    while (*at != booking)
        at = &(*at)->chain;
    *at = booking->chain;
    *booking->link = booking->next;
    if (booking->next)
        booking->next->link = booking->link;
}

// Pending destructors of thread_local objects keep a plugin from being stopped,
// too, and are counted for themselves.
static uint32_t *counter_of(const struct booking *booking)
{
    return booking->kind == E64_PIN_THREAD_LOCAL ? &booking->plugin->exits
                                               : &booking->plugin->bookings;
}

// ----------------------------------------------------------------- fork ---

void bookings_before_fork(void)
{
    lock_before_fork(&lock);
}

// The child has none of the other threads, and none of their objects is ever
// destroyed. It has one thread: nobody else counts.
static void forget_others(void)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        for (struct booking *booking = buckets[i], *after; booking;
             booking = after) {
            after = booking->chain;
            if (booking->kind != E64_PIN_THREAD
                && booking->kind != E64_PIN_THREAD_LOCAL)
                continue;
            if (booking->thread_number
                && pthread_equal(booking->thread, pthread_self())) {
                booking->thread_number = (int)syscall(SYS_gettid);
                continue;
            }
            unchain(booking);
            --*counter_of(booking);
            memory_free(booking);
        }
}

void bookings_after_fork(bool child)
{
    if (child)
        forget_others();
    lock_after_fork(&lock, child);
}

// --------------------------------------------------------------- booking ---

struct booking *booking_new(e64_plugin *plugin, e64_pin_kind kind,
                        const void *address, uintptr_t key)
{
    struct booking *booking = memory_new(sizeof *booking);
    if (!booking)
        return NULL;
    booking->plugin = plugin;
    booking->kind = kind;
    booking->address = address;
    booking->key = key;
    lock_take(&plugin->runtime->lock);
    ++*counter_of(booking);
    lock_give(&plugin->runtime->lock);
    lock_take(&lock);
    booking->next = plugin->first_booking;
    booking->link = &plugin->first_booking;
    if (booking->next)
        booking->next->link = &booking->next;
    plugin->first_booking = booking;
    struct booking **bucket = bucket_of(key);
    booking->chain = *bucket;
    *bucket = booking;
    lock_give(&lock);
    return booking;
}

bool booking_at(e64_pin_kind kind, const void *address, uintptr_t key,
              struct booking **booking)
{
    *booking = NULL;
    e64_plugin *plugin = address ? plugin_at((uintptr_t)address) : NULL;
    if (!plugin)
        return true;
    *booking = booking_new(plugin, kind, address, key);
    plugin_drop(plugin);
    return *booking != NULL;
}

void booking_thread(struct booking *booking)
{
    lock_take(&lock);
    booking->thread = pthread_self();
    booking->thread_number = (int)syscall(SYS_gettid);
    lock_give(&lock);
}

static void finish(struct booking *booking)
{
    e64_plugin *plugin = booking->plugin;
    uint32_t *counter = counter_of(booking);
    memory_free(booking);
    close_unbooked(plugin, counter);
}

void booking_end(struct booking *booking)
{
    if (!booking)
        return;
    lock_take(&lock);
    unchain(booking);
    lock_give(&lock);
    finish(booking);
}

struct booking *bookings_take(e64_pin_kind kind, uintptr_t key)
{
    struct booking *taken = NULL;
    lock_take(&lock);
    for (struct booking *booking = *bucket_of(key), *after; booking;
         booking = after) {
        after = booking->chain;
        if (booking->kind != kind || booking->key != key)
            continue;
        unchain(booking);
        booking->chain = taken;
        taken = booking;
    }
    lock_give(&lock);
    return taken;
}

void bookings_end(struct booking *taken)
{
    while (taken) {
        struct booking *booking = taken;
        taken = booking->chain;
        finish(booking);
    }
}

void bookings_each(const e64_plugin *plugin,
                 void (*visit)(void *data, const struct booking *booking),
                 void *data)
{
    lock_take(&lock);
    for (const struct booking *booking = plugin->first_booking; booking;
         booking = booking->next)
        visit(data, booking);
    lock_give(&lock);
}
