// Why a plugin is mapped.

#include "run.h"

#include <string.h>

#include "../memory.h"

// ----------------------------------------------------------------- record ---

// In `probes`: this, the path and the owner, or "", each with a zero.
struct probe_head {
    const char *place; // a literal of search.c's
    e64_status result;
};

void why_probe(void *data, const struct search_probe *probe)
{
    struct text *probes = &((struct why *)data)->probes;
    const struct probe_head head = { probe->place, probe->result };
    const char *owner = probe->owner ? probe->owner : "";
    text_add_bytes(probes, (const char *)&head, sizeof head);
    text_add_bytes(probes, probe->path, strlen(probe->path) + 1);
    text_add_bytes(probes, owner, strlen(owner) + 1);
}

void why_free(struct why *why)
{
    text_free(&why->probes);
    memory_free(why->wanter);
    *why = (struct why){ .asked = false };
}

// ---------------------------------------------------------------- reasons ---

struct reasons {
    e64_reason *all;
    uint32_t count, room;
};

static const char *const names[] = {
    [E64_REASON_ASKED] = "asked",
    [E64_REASON_PROBE] = "probe",
    [E64_REASON_HOOK] = "hook",
    [E64_REASON_NAME] = "name",
    [E64_REASON_HANDLE] = "handle",
    [E64_REASON_DEPENDENT] = "dependent",
    [E64_REASON_BOUND] = "bound",
    [E64_REASON_CIRCLE] = "circle",
};

static const char *copied(const char *text)
{
    return text && *text ? memory_copy(text) : NULL;
}

// Takes the message over. All strings of a reason that is kept are its own.
static void add(struct reasons *reasons, const e64_reason *reason,
                struct text *message)
{
    if (reasons->count == reasons->room) {
        uint32_t room = reasons->room ? 2 * reasons->room : 16;
        e64_reason *all = memory_resize(reasons->all, room * sizeof *all);
        if (all) {
            reasons->all = all;
            reasons->room = room;
        }
    }
    if (reasons->count == reasons->room || message->failed) {
        text_free(message);
        return;
    }
    e64_reason *kept = &reasons->all[reasons->count++];
    *kept = *reason;
    kept->name = names[reason->kind];
    kept->message = message->data;
    kept->as = copied(reason->as);
    kept->path = copied(reason->path);
    kept->owner = copied(reason->owner);
}

static void free_all(struct reasons *reasons)
{
    for (uint32_t i = 0; i < reasons->count; i++) {
        const e64_reason *reason = &reasons->all[i];
        memory_free((void *)reason->message);
        memory_free((void *)reason->as);
        memory_free((void *)reason->path);
        memory_free((void *)reason->owner);
    }
    memory_free(reasons->all);
}

static const char *path_of(const e64_plugin *plugin)
{
    return plugin->unit.object.name;
}

// The loader of one that was closed since is not known any more, but its path.
static void add_asked(struct reasons *reasons, const e64_plugin *plugin)
{
    enum { MOST_WANTERS = 64 };
    for (int i = 0; i < MOST_WANTERS && plugin; i++, plugin = plugin->loader) {
        const char *wanter = plugin->loader ? path_of(plugin->loader)
                                            : plugin->why.wanter;
        const char *as = plugin->names ? plugin->names->text : path_of(plugin);
        struct text message = { 0 };
        if (wanter)
            text_format(&message, "%s needs '%s', which is %s", wanter, as,
                        path_of(plugin));
        else
            text_format(&message, "'%s' was opened, which is %s", as,
                        path_of(plugin));
        add(reasons, &(e64_reason){ .kind = E64_REASON_ASKED, .as = as,
                                    .path = wanter }, &message);
    }
}

static void add_probe(struct reasons *reasons, const struct probe_head *head,
                      const char *path, const char *owner)
{
    struct text message = { 0 };
    if (head->result == E64_OK)
        text_format(&message, "%s was taken", path);
    else if (head->result == E64_NOTFOUND)
        text_format(&message, "there is no %s", path);
    else
        text_format(&message, "%s was passed over: %s", path,
                    e64_status_name(head->result));
    text_format(&message, " (%s%s%s)", head->place, *owner ? " of " : "",
                owner);
    add(reasons, &(e64_reason){ .kind = E64_REASON_PROBE, .path = path,
                                .place = head->place, .owner = owner,
                                .result = head->result }, &message);
}

// The probe at a place of the record, and the place of the next; NULL for none.
static const char *read_probe(const struct why *why, const char *at,
                              struct probe_head *head, const char **path,
                              const char **owner)
{
    const char *start = text_get(&why->probes);
    if (why->probes.failed || at == start + why->probes.size)
        return NULL;
    memcpy(head, at, sizeof *head);
    *path = at + sizeof *head;
    *owner = *path + strlen(*path) + 1;
    return *owner + strlen(*owner) + 1;
}

bool why_found(const struct why *why, const char **place, const char **owner)
{
    const char *path, *at = text_get(&why->probes);
    struct probe_head head;
    while ((at = read_probe(why, at, &head, &path, owner))) {
        *place = head.place;
        if (head.result == E64_OK)
            return true;
    }
    return false;
}

static void add_search(struct reasons *reasons, const struct why *why)
{
    const char *path, *owner, *at = text_get(&why->probes);
    struct probe_head head;
    while ((at = read_probe(why, at, &head, &path, &owner)))
        add_probe(reasons, &head, path, owner);
    struct text message = { 0 };
    if (why->asked) {
        text_add(&message, "the search hook answered");
        add(reasons, &(e64_reason){ .kind = E64_REASON_HOOK }, &message);
    }
}

static void add_names(struct reasons *reasons, const e64_plugin *plugin)
{
    const struct plugin_name *name = plugin->names;
    for (name = name ? name->next : NULL; name; name = name->next) {
        struct text message = { 0 };
        text_format(&message, "it is known as '%s' too", name->text);
        add(reasons, &(e64_reason){ .kind = E64_REASON_NAME,
                                    .as = name->text }, &message);
    }
}

static bool contains(const struct elf_object *const *list, uint32_t count,
                     const struct elf_object *object, uint32_t *at)
{
    for (*at = 0; *at < count; ++*at)
        if (list[*at] == object)
            return true;
    return false;
}

// The name by which one needs another, or NULL.
static const char *need_of(const e64_plugin *plugin,
                           const struct elf_object *object)
{
    const struct elf_image *image = &plugin->unit.image;
    uint32_t at;
    if (contains(plugin->needs, plugin->need_count, object, &at))
        return elf_string(&image->symbols, image->needed[at]);
    if (contains(plugin->filters, plugin->filter_count, object, &at))
        return elf_string(&image->symbols, image->filters[at].name);
    return NULL;
}

static void add_dependent(struct reasons *reasons, const e64_plugin *plugin,
                          const e64_plugin *other)
{
    const struct elf_object *object = &plugin->unit.object;
    const char *as = need_of(other, object);
    bool bound = false;
    for (uint32_t i = 0; !as && i < other->bound_count; i++)
        bound |= other->bound[i] == plugin;
    struct text message = { 0 };
    if (as)
        text_format(&message, "%s needs it as '%s'", path_of(other), as);
    else if (bound)
        text_format(&message, "%s is bound to it, though it does not need it",
                    path_of(other));
    else
        return;
    add(reasons, &(e64_reason){
            .kind = as ? E64_REASON_DEPENDENT : E64_REASON_BOUND,
            .as = as, .path = path_of(other) }, &message);
}

static void add_keepers(struct reasons *reasons, const e64_plugin *plugin)
{
    const e64_runtime *runtime = plugin->runtime;
    struct text message = { 0 };
    if (plugin->handles) {
        text_format(&message, "%u handle%s not been closed", plugin->handles,
                    plugin->handles > 1 ? "s have" : " has");
        add(reasons, &(e64_reason){ .kind = E64_REASON_HANDLE,
                                    .number = plugin->handles }, &message);
    }
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (!runtime->plugins[i]->gone && runtime->plugins[i] != plugin)
            add_dependent(reasons, plugin, runtime->plugins[i]);
}

// Which of some plugins is the first that a root has started.
struct starting {
    const e64_plugin *const *plugins;
    uint32_t count;
    const e64_plugin *found;
};

struct way {
    struct text text;
    const e64_plugin *plugins[64]; // as many as there is room for
    uint32_t count;
};

// A way from a plugin to `end` by what is needed; false when there is none.
// Those that have been seen are marked, as order.c does.
static bool add_way(struct way *way, e64_plugin *plugin,
                    const e64_plugin *end)
{
    enum { MOST = sizeof way->plugins / sizeof *way->plugins };
    plugin->marked = true;
    size_t size = way->text.size;
    uint32_t count = way->count;
    if (count < MOST)
        way->plugins[way->count++] = plugin;
    for (uint32_t i = 0; i < plugin->need_count; i++) {
        e64_plugin *other = plugin->needs[i] ? plugin_of(plugin->needs[i])
                                             : NULL;
        if (!other || (other != end && other->marked))
            continue;
        text_format(&way->text, "%s %s", size ? ", which needs" : "it needs",
                    other == end ? "it" : path_of(other));
        if (other == end || add_way(way, other, end))
            return true;
        text_cut(&way->text, size);
    }
    way->count = count;
    return false;
}

static void consider_start(void *data, e64_plugin *plugin)
{
    struct starting *starting = data;
    for (uint32_t i = 0; i < starting->count && !starting->found; i++)
        if (starting->plugins[i] == plugin)
            starting->found = plugin;
}

// The one of them that has been started before what it needs; NULL when that is
// not known any more.
static const e64_plugin *first_started(const struct way *way)
{
    const e64_plugin *root = way->plugins[0];
    struct starting starting = { way->plugins, way->count, NULL };
    while (root->loader && !root->order)
        root = root->loader;
    if (root->order)
        start_each(root, consider_start, &starting);
    return starting.found;
}

static void add_circle(struct reasons *reasons, e64_plugin *plugin)
{
    const e64_runtime *runtime = plugin->runtime;
    struct way way = { .count = 0 };
    bool found = !plugin->host && add_way(&way, plugin, plugin)
              && way.count > 1;
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        runtime->plugins[i]->marked = false;
    if (found) {
        const e64_plugin *first = first_started(&way);
        text_format(&way.text, ": of these %s is started first, before what it "
                    "needs", first ? path_of(first) : "one");
        add(reasons, &(e64_reason){ .kind = E64_REASON_CIRCLE,
                                    .path = first ? path_of(first) : NULL },
            &way.text);
    } else {
        text_free(&way.text);
    }
}

int e64_why(e64_plugin *plugin,
            int (*visit)(void *data, const e64_reason *reason), void *data)
{
    struct reasons reasons = { NULL, 0, 0 };
    int answer = 0;
    if (!plugin || !visit || plugin->process
        || atomic_load(&plugin->state) == E64_STATE_STOPPED)
        return 0;
    lock_take(&plugin->runtime->lock);
    add_asked(&reasons, plugin);
    add_search(&reasons, &plugin->why);
    add_names(&reasons, plugin);
    add_keepers(&reasons, plugin);
    add_circle(&reasons, plugin);
    lock_give(&plugin->runtime->lock);
    for (uint32_t i = 0; i < reasons.count && !answer; i++)
        answer = visit(data, &reasons.all[i]);
    free_all(&reasons);
    return answer;
}
