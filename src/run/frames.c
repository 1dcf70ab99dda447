// Frames that are registered: the way of libgcc's from before there was
// dl_iterate_phdr, which still works everywhere, though an unwinder sorts all
// that it was told when it first unwinds.

#include "frames.h"

#include <string.h>

#include "../error.h"
#include "../forks.h"
#include "../memory.h"
#include "addresses.h"

// libgcc's own record of what it was told: six words, eight at most.
struct registration {
    struct registration *next;
    const e64_plugin *plugin;
    const struct host_registrar *registrar;
    const void *frames;
    uintptr_t object[8];
};

// A leaf: only the unwinders' functions are called under it, which take a lock
// of their own and nothing else.
static struct lock lock = LOCK_INITIALIZER;
static struct host_registrar unwinders[FRAMES_MOST_UNWINDERS];
static atomic_bool told[FRAMES_MOST_UNWINDERS]; // of all that is open
static atomic_uint unwinder_count;
static struct registration *registrations;

// --------------------------------------------------- reading .eh_frame ---

// Bytes of the segment that holds an address, from there on.
static struct view bytes_at(const e64_plugin *plugin, uint64_t vaddr)
{
    const struct elf_load *load = elf_image_load(&plugin->unit.image, vaddr, 1);
    if (!load || !(load->flags & PF_R))
        return (struct view){ 0 };
    return (struct view){ (const uint8_t *)plugin->unit.object.bias + vaddr,
                          load->vaddr + load->memsz - vaddr };
}

static bool read_word(struct view view, uint64_t at, uint32_t *word)
{
    return view_read(view, at, word, sizeof *word);
}

// Of an augmentation's text, which is looked at for each FDE anew: half a dozen
// letters have a meaning.
enum { MOST_LETTERS = 31 };

// A CIE (LSB "Exception Frames"): version, and the augmentation's text, by
// which libgcc finds out how addresses are written.
static bool is_cie(struct view frames, uint64_t at)
{
    uint32_t length, id;
    if (!read_word(frames, at, &length) || !read_word(frames, at + 4, &id)
        || id != 0 || length < 16 || length > frames.size - at - 4)
        return false;
    const uint8_t *bytes = frames.data + at + 8;
    uint64_t rest = length - 4 - 1 - 8;
    return (bytes[0] == 1 || bytes[0] == 3)
        && memchr(bytes + 1, '\0', rest < MOST_LETTERS ? rest : MOST_LETTERS);
}

// From record to record up to the zero word that ends them. Each must be a CIE
// or an FDE with a CIE before it.
static bool is_sound(struct view frames)
{
    uint64_t at = 0;
    uint32_t length, id;
    for (;;) {
        if (!read_word(frames, at, &length))
            return false;
        if (length == 0)
            return true;
        if (length < 12 || length >= 0xfffffff0
            || length > frames.size - at - 4
            || !read_word(frames, at + 4, &id))
            return false;
        if (id == 0 ? !is_cie(frames, at)
                    : id > at + 4 || !is_cie(frames, at + 4 - id))
            return false;
        at += 4 + (uint64_t)length;
    }
}

// .eh_frame_hdr (LSB): version, three encodings, then where .eh_frame is, which
// linkers write as a signed word counted from its own address.
enum { HEADER_VERSION = 1, PCREL_SDATA4 = 0x1b };

const void *frames_of(const e64_plugin *plugin)
{
    uint64_t header = plugin->unit.image.unwind.vaddr;
    struct view view = bytes_at(plugin, header);
    uint32_t word;
    if (!read_word(view, 4, &word) || view.data[0] != HEADER_VERSION
        || view.data[1] != PCREL_SDATA4)
        return NULL;
    view = bytes_at(plugin, header + 4 + (uint64_t)(int64_t)(int32_t)word);
    return view.size && is_sound(view) ? view.data : NULL;
}

// --------------------------------------------------------- registering ---

static bool is_told(const struct host_registrar *registrar,
                    const e64_plugin *plugin)
{
    for (const struct registration *known = registrations; known;
         known = known->next)
        if (known->plugin == plugin && known->registrar == registrar)
            return true;
    return false;
}

// With the lock held.
static e64_status tell(const struct host_registrar *registrar,
                       const e64_plugin *plugin)
{
    if (!plugin->unit.image.unwind.vaddr || is_told(registrar, plugin))
        return E64_OK;
    const void *frames = frames_of(plugin);
    // Nothing can be thrown through one whose .eh_frame is not well formed.
    if (!frames)
        return E64_OK;
    struct registration *made = memory_new(sizeof *made);
    if (!made)
        return fail_memory(sizeof *made);
    made->plugin = plugin;
    made->registrar = registrar;
    made->frames = frames;
    made->next = registrations;
    registrations = made;
    registrar->add(frames, made->object);
    return E64_OK;
}

e64_status frames_add(e64_plugin *const *plugins, uint32_t count)
{
    e64_status status = E64_OK;
    if (!atomic_load(&unwinder_count))
        return status;
    lock_take(&lock);
    for (uint32_t k = 0; k < atomic_load(&unwinder_count); k++)
        for (uint32_t i = 0; status == E64_OK && i < count; i++)
            status = tell(&unwinders[k], plugins[i]);
    lock_give(&lock);
    return status;
}

void frames_remove(e64_plugin *const *plugins, uint32_t count)
{
    if (!atomic_load(&unwinder_count))
        return;
    lock_take(&lock);
    for (struct registration **at = &registrations; *at; ) {
        struct registration *known = *at;
        uint32_t i = 0;
        while (i < count && plugins[i] != known->plugin)
            i++;
        if (i == count) {
            at = &known->next;
            continue;
        }
        known->registrar->remove(known->frames);
        *at = known->next;
        memory_free(known);
    }
    lock_give(&lock);
}

struct telling {
    const struct host_registrar *registrar;
    e64_status status;
};

static int tell_one(void *data, const struct address_entry *entry)
{
    struct telling *telling = data;
    telling->status = tell(telling->registrar, entry->plugin);
    return telling->status != E64_OK;
}

static e64_status tell_all(const struct host_registrar *registrar)
{
    struct telling telling = { registrar, E64_OK };
    unsigned ticket = addresses_enter();
    addresses_each(tell_one, &telling);
    addresses_leave(ticket);
    return telling.status;
}

static void before_fork(void)
{
    lock_before_fork(&lock);
}

static void after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

static const struct fork_part fork_part = { before_fork, after_fork };

// Keeps both this and what it calls of ours. With the lock held.
static e64_status add_unwinder(const struct host_registrar *registrar)
{
    uint32_t count = atomic_load(&unwinder_count), at = 0;
    while (at < count && unwinders[at].add != registrar->add)
        at++;
    if (at == FRAMES_MOST_UNWINDERS || told[at])
        return E64_OK;
    if (at == count) {
        unwinders[at] = *registrar;
        atomic_store(&unwinder_count, count + 1);
    }
    // Some may have been told before memory ran out.
    e64_status status = tell_all(&unwinders[at]);
    told[at] = status == E64_OK;
    return status;
}

e64_status frames_add_unwinder(const struct host_module *module,
                               const struct host_registrar *registrar)
{
    bool kept = false;
    for (uint32_t i = 0; i < atomic_load(&unwinder_count); i++) {
        kept |= unwinders[i].add == registrar->add;
        if (unwinders[i].add == registrar->add && told[i])
            return E64_OK;
    }
    forks_watch(FORK_FRAMES, &fork_part);
    e64_status status = kept ? E64_OK
                             : host_keep((struct host_module *)module);
    if (status != E64_OK)
        return status;
    lock_take(&lock);
    status = add_unwinder(registrar);
    lock_give(&lock);
    return status;
}
