// dl_iterate_phdr, for those who walk it to find out what is mapped.

#include "unwind.h"

#include "../tls/tls.h"
#include "addresses.h"

// What the callback is told besides what glibc says.
struct walk {
    host_walk_callback *callback;
    void *data;
    uint64_t adds, subs;             // ours
    uint64_t total_adds, total_subs; // of the process
};

// Programs keep what they found out until one of the counts changes, so they
// are told sums.
static int tell_sums(struct dl_phdr_info *info, size_t size, void *data)
{
    struct walk *walk = data;
    struct dl_phdr_info changed = *info;
    changed.dlpi_adds += walk->adds;
    changed.dlpi_subs += walk->subs;
    walk->total_adds = changed.dlpi_adds;
    walk->total_subs = changed.dlpi_subs;
    return walk->callback(&changed, size, walk->data);
}

int unwind_iterate_phdr(host_walk_callback *callback, void *data)
{
    struct walk walk = { .callback = callback, .data = data };
    for (const struct unwind_copy *copy = unwind_copies(); copy;
         copy = atomic_load(&copy->next)) {
        uint64_t adds, subs;
        copy->counts(&adds, &subs);
        walk.adds += adds;
        walk.subs += subs;
    }
    int answer = host_iterate_phdr(tell_sums, &walk);
    for (const struct unwind_copy *copy = unwind_copies(); copy && !answer;
         copy = atomic_load(&copy->next))
        answer = copy->walk(callback, data, walk.total_adds, walk.total_subs);
    return answer;
}

static int tell_plugin(void *data, const struct address_entry *entry)
{
    const struct walk *walk = data;
    const struct link_unit *unit = &entry->plugin->unit;
    // A file whose program headers are in no segment has none to show.
    struct dl_phdr_info info = {
        .dlpi_addr = unit->object.bias,
        .dlpi_name = unit->object.name,
        .dlpi_phdr = unit->image.header_count
                   ? (const Elf64_Phdr *)(unit->object.bias
                                          + unit->image.headers.vaddr) : NULL,
        .dlpi_phnum = (Elf64_Half)unit->image.header_count,
        .dlpi_adds = walk->total_adds,
        .dlpi_subs = walk->total_subs,
        .dlpi_tls_modid = unit->object.tls_module,
        .dlpi_tls_data = unit->object.tls_module
                       ? tls_find_block(unit->object.tls_module) : NULL,
    };
    return walk->callback(&info, sizeof info, walk->data);
}

int phdr_walk(host_walk_callback *callback, void *data, uint64_t adds,
              uint64_t subs)
{
    struct walk walk = { .callback = callback, .data = data,
                         .total_adds = adds, .total_subs = subs };
    unsigned ticket = addresses_enter();
    int answer = addresses_each(tell_plugin, &walk);
    addresses_leave(ticket);
    return answer;
}
