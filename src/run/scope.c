// The breadth-first list of an object and all that it needs, which is its own
// scope. What is not open yet is discovered on the way.

#include "run.h"

#include "../error.h"
#include "../limit.h"
#include "../memory.h"
#include "plan.h"

struct entry {
    const struct elf_object *object;
    bool done;
};

struct listing {
    struct discovery *discovery;
    struct entry *entries;
    uint32_t count, room;
    // What is on the list: a hash set of pointers.
    const struct elf_object **set;
    uint32_t set_size;
};

static uint32_t slot(const struct listing *listing,
                     const struct elf_object *object)
{
    uint32_t mask = listing->set_size - 1;
    uint32_t at = (uint32_t)((uintptr_t)object >> 4) * 2654435761u & mask;
    while (listing->set[at] && listing->set[at] != object)
        at = (at + 1) & mask;
    return at;
}

static bool is_listed(const struct listing *listing,
                      const struct elf_object *object)
{
    return listing->set[slot(listing, object)] != NULL;
}

static e64_status grow(struct listing *listing)
{
    if (listing->count < listing->room)
        return E64_OK;
    uint32_t room = listing->room ? 2 * listing->room : 64;
    struct entry *entries = memory_resize(listing->entries,
                                          room * sizeof *entries);
    if (!entries)
        return fail_memory(room * sizeof *entries);
    listing->entries = entries;
    listing->room = room;
    memory_free(listing->set);
    listing->set_size = 2 * room;
    listing->set = memory_array(listing->set_size, sizeof *listing->set);
    if (!listing->set)
        return fail_memory(listing->set_size * sizeof *listing->set);
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct elf_object *object = entries[i].object;
        listing->set[slot(listing, object)] = object;
    }
    return E64_OK;
}

static e64_status insert(struct listing *listing, uint32_t at,
                         const struct elf_object *object)
{
    e64_status status = grow(listing);
    if (status != E64_OK)
        return status;
    for (uint32_t i = listing->count++; i > at; i--)
        listing->entries[i] = listing->entries[i - 1];
    listing->entries[at] = (struct entry){ object, false };
    listing->set[slot(listing, object)] = object;
    return E64_OK;
}

// A filter's object stands before the object that names it: it is there that
// names are looked up first. One that comes later is moved; what stands before
// stays. Advances *at past it.
static e64_status insert_filter(struct listing *listing, uint32_t *at,
                                const struct elf_object *object)
{
    if (is_listed(listing, object)) {
        uint32_t from = 0;
        while (listing->entries[from].object != object)
            from++;
        if (from <= *at)
            return E64_OK;
        struct entry moved = listing->entries[from];
        for (; from > *at; from--)
            listing->entries[from] = listing->entries[from - 1];
        listing->entries[*at] = moved;
        ++*at;
        return E64_OK;
    }
    e64_status status = insert(listing, *at, object);
    ++*at;
    return status;
}

// May it be there all the same?
static bool is_passing(e64_status status)
{
    return status == E64_NOMEMORY || status == E64_CHANGED
        || (status == E64_SYSTEM
            && limit_is_passing(error_pending()->system_errno));
}

// A plan goes on without what cannot be had, and says so.
static e64_status do_without(struct discovery *discovery, const char *name,
                             e64_plugin *wanter, e64_status status,
                             const struct elf_object **found)
{
    if (!discovery->plan || is_passing(status) || status == E64_HOOK)
        return status;
    *found = NULL;
    return plan_without(discovery->plan, name, wanter, status);
}

// What a plugin needs, found when it is new.
static e64_status find_needs(struct discovery *discovery, e64_plugin *plugin)
{
    const struct elf_image *image = &plugin->unit.image;
    if (plugin->needs)
        return E64_OK;
    plugin->needs = memory_array(image->needed_count, sizeof *plugin->needs);
    plugin->filters = memory_array(image->filter_count,
                                   sizeof *plugin->filters);
    if (!plugin->needs || !plugin->filters)
        return fail_memory(image->needed_count * sizeof *plugin->needs);
    for (uint32_t i = 0; i < image->needed_count; i++) {
        const char *name = elf_string(&image->symbols, image->needed[i]);
        e64_status status = discover_name(discovery, name, plugin, false,
                                          &plugin->needs[i]);
        if (status != E64_OK)
            status = do_without(discovery, name, plugin, status,
                                &plugin->needs[i]);
        if (status != E64_OK)
            return status;
        plugin->need_count = i + 1;
    }
    for (uint32_t i = 0; i < image->filter_count; i++) {
        const struct elf_filter *filter = &image->filters[i];
        const char *name = elf_string(&image->symbols, filter->name);
        e64_status status = discover_name(discovery, name, plugin, false,
                                          &plugin->filters[i]);
        if (status != E64_OK && !filter->auxiliary)
            status = do_without(discovery, name, plugin, status,
                                &plugin->filters[i]);
        if (status != E64_OK && (!filter->auxiliary || is_passing(status)))
            return status;
        if (status != E64_OK)
            plugin->filters[i] = NULL;
        plugin->filter_count = i + 1;
    }
    return E64_OK;
}

static e64_status list_plugin(struct listing *listing, uint32_t *at,
                              e64_plugin *plugin)
{
    e64_status status = find_needs(listing->discovery, plugin);
    for (uint32_t i = 0; status == E64_OK && i < plugin->need_count; i++)
        if (plugin->needs[i] && !is_listed(listing, plugin->needs[i]))
            status = insert(listing, listing->count, plugin->needs[i]);
    for (uint32_t i = 0; status == E64_OK && i < plugin->filter_count; i++)
        if (plugin->filters[i])
            status = insert_filter(listing, at, plugin->filters[i]);
    return status;
}

static e64_status list_host(struct listing *listing,
                            const struct host_module *module)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < module->needed_count; i++) {
        struct host_module *needed = host_find(listing->discovery->snapshot,
                                               module->needed[i]);
        if (needed && !needed->vdso && !is_listed(listing, &needed->object))
            status = insert(listing, listing->count, &needed->object);
    }
    return status;
}

static e64_status build(struct listing *listing)
{
    for (uint32_t at = 0; at < listing->count; at++) {
        if (listing->entries[at].done)
            continue;
        const struct elf_object *object = listing->entries[at].object;
        listing->entries[at].done = true;
        uint32_t first = at;
        e64_status status = object->host
            ? list_host(listing, host_module_of(object))
            : list_plugin(listing, &at, plugin_of(object));
        if (status != E64_OK)
            return status;
        if (at > first)
            at = first - 1; // go on with the filters
    }
    return E64_OK;
}

e64_status scope_list(struct discovery *discovery,
                      const struct elf_object *root,
                      const struct elf_object ***list, uint32_t *count)
{
    struct listing listing = { .discovery = discovery };
    e64_status status = insert(&listing, 0, root);
    if (status == E64_OK)
        status = build(&listing);
    if (status == E64_OK) {
        const struct elf_object **objects = memory_array(listing.count,
                                                         sizeof *objects);
        if (objects) {
            for (uint32_t i = 0; i < listing.count; i++)
                objects[i] = listing.entries[i].object;
            *list = objects;
            *count = listing.count;
        } else {
            status = fail_memory(listing.count * sizeof *objects);
        }
    }
    memory_free(listing.entries);
    memory_free(listing.set);
    return status;
}
