// Numbers for modules. The table is two levels deep and what is used of it
// never moves, so that readers need no lock; numbers are used again, lowest
// first.

#include "module.h"

#include "../error.h"
#include "../lock.h"
#include "../memory.h"
#include "fork.h"
#include "threads.h"

enum { PER_CHUNK = 16, CHUNKS = TLS_NUMBERS / PER_CHUNK };

// Recursive because of fork: see forks.h.
static struct lock lock = LOCK_INITIALIZER;
static _Atomic(struct tls_module *) chunks[CHUNKS];
static uint32_t used[CHUNKS]; // numbers of each
static uint64_t lowest = 1; // no number below is free

struct tls_module *tls_module_at(uint64_t number)
{
    if (number >= TLS_NUMBERS)
        return NULL;
    struct tls_module *chunk = atomic_load_explicit(
        &chunks[number / PER_CHUNK], memory_order_acquire);
    return chunk ? &chunk[number % PER_CHUNK] : NULL;
}

static e64_status make_chunk(uint64_t i)
{
    if (atomic_load(&chunks[i]))
        return E64_OK;
    struct tls_module *chunk = memory_array(PER_CHUNK, sizeof *chunk);
    if (!chunk)
        return fail_memory(PER_CHUNK * sizeof *chunk);
    atomic_store_explicit(&chunks[i], chunk, memory_order_release);
    return E64_OK;
}

// The first number that is free, its chunk made when need be.
static e64_status find_free(uint64_t *number)
{
    for (uint64_t i = lowest; i < TLS_NUMBERS; i++) {
        e64_status status = make_chunk(i / PER_CHUNK);
        if (status != E64_OK)
            return status;
        if (!tls_module_at(i)->used) {
            *number = i;
            return E64_OK;
        }
    }
    return fail(E64_NOMEMORY, "%d plugins with thread-local storage are open, "
                "which is the most there can be", TLS_NUMBERS - 1);
}

e64_status tls_module_new(const struct tls_image *image, const char *name,
                          uint64_t *module)
{
    uint64_t number = 0;
    if (!tls_blocks_prepare() || !fork_watch()) {
        fail(E64_NOMEMORY, "%s: has thread-local variables, which need a key "
             "of thread-specific data (pthread_key_create) and fork handlers "
             "(pthread_atfork), of which there are no more", name);
        error_path(name);
        return E64_NOMEMORY;
    }
    tls_access_prepare();
    lock_take(&lock);
    e64_status status = find_free(&number);
    if (status == E64_OK) {
        struct tls_module *entry = tls_module_at(number);
        lowest = number + 1;
        entry->image = *image;
        entry->ready = entry->dirty = false;
        entry->used = true;
        used[number / PER_CHUNK]++;
        *module = TLS_OURS + number;
    }
    lock_give(&lock);
    return status;
}

// Space that was never used is zero in every thread.
static bool is_zero(const struct tls_image *image)
{
    const char *bytes = image->bytes;
    for (uint64_t i = 0; i < image->filled; i++)
        if (bytes[i])
            return false;
    return true;
}

static e64_status write_image(const struct tls_image *image,
                              const struct pool_place *place, const char *name,
                              bool *written)
{
    *written = false;
    if (!place->used && is_zero(image))
        return E64_OK;
    return threads_publish(name, place, image->bytes, image->filled, written);
}

// From here on it is there that threads find it, unless another opening was
// faster, or a thread uses it elsewhere.
static bool settle(uint64_t number, const struct pool_place *place, bool dirty)
{
    struct tls_module *entry = tls_module_at(number);
    bool settled = !atomic_load(&entry->tp_offset)
        && tls_blocks_place(number, place->area->tp_offset
                                    + (int64_t)place->offset);
    if (settled) {
        entry->place = *place;
        entry->dirty = dirty;
    }
    return settled;
}

// The image of a module that runs already is written before threads can find
// the place; of one that is being opened nothing runs yet, and it is written
// when it is relocated.
e64_status tls_module_place(uint64_t module, uint32_t type, const char *name)
{
    uint64_t number = module - TLS_OURS;
    struct tls_module *entry = tls_module_at(number);
    const struct tls_image *image = &entry->image;
    struct pool_place place;
    bool settled = false, written = false;
    if (atomic_load(&entry->tp_offset))
        return E64_OK;
    // Relocation may make other values of its zeros, which does no harm.
    e64_status status = pool_take(name, image, is_zero(image), type, &place);
    if (status != E64_OK)
        return status;
    lock_take(&lock);
    bool ready = entry->ready;
    if (!ready)
        settled = settle(number, &place, false);
    lock_give(&lock);
    if (ready) {
        status = write_image(image, &place, name, &written);
        lock_take(&lock);
        settled = status == E64_OK && settle(number, &place, true);
        lock_give(&lock);
    }
    if (settled)
        return E64_OK;
    pool_give_back(&place, !written);
    if (status != E64_OK || atomic_load(&entry->tp_offset))
        return status;
    fail(E64_UNSUPPORTED, "%s: its thread-local variables are in use already, "
         "and what is opened now wants them at a fixed offset from the thread "
         "pointer; open that first", name);
    error_path(name);
    return E64_UNSUPPORTED;
}

e64_status tls_module_publish(uint64_t module, const char *name)
{
    struct tls_module *entry = tls_module_at(module - TLS_OURS);
    lock_take(&lock);
    bool due = !entry->ready && atomic_load(&entry->tp_offset);
    entry->ready = true;
    lock_give(&lock);
    if (!due)
        return E64_OK;
    bool written;
    e64_status status = write_image(&entry->image, &entry->place, name,
                                    &written);
    entry->dirty |= written;
    if (status != E64_OK) {
        lock_take(&lock);
        entry->ready = false; // it may be tried again
        lock_give(&lock);
    }
    return status;
}

void tls_module_use(uint64_t module)
{
    if (module)
        tls_module_at(module - TLS_OURS)->dirty = true;
}

int64_t tls_module_tp_offset(uint64_t module)
{
    struct tls_module *entry = module >= TLS_OURS
        ? tls_module_at(module - TLS_OURS) : NULL;
    return entry ? atomic_load(&entry->tp_offset) : 0;
}

void tls_module_free(uint64_t module)
{
    if (!module)
        return;
    uint64_t number = module - TLS_OURS;
    struct tls_module *entry = tls_module_at(number);
    tls_blocks_drop(number);
    if (atomic_load(&entry->tp_offset))
        pool_give_back(&entry->place, !entry->dirty);
    lock_take(&lock);
    atomic_store(&entry->tp_offset, 0);
    entry->used = false;
    // The first one stays for the next plugin.
    if (--used[number / PER_CHUNK] == 0 && number >= PER_CHUNK)
        memory_free(atomic_exchange(&chunks[number / PER_CHUNK], NULL));
    if (number < lowest)
        lowest = number;
    lock_give(&lock);
}

void modules_before_fork(void)
{
    lock_before_fork(&lock);
}

void modules_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}
