// The steps of a search and their order. What is remembered of folders that do
// not exist is forgotten when the search ends.

#include "search.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "cachefile.h"
#include "search_state.h"

static enum trial stop(struct search *search, e64_status status)
{
    search->status = status;
    return TRIAL_END;
}

// What stands for $ORIGIN on behalf of a wanter, or of the executable.
static struct dst dst_of(const struct search *search,
                         const struct search_wanter *wanter)
{
    return (struct dst){ .startup = search->startup,
                         .path = wanter ? wanter->path : NULL,
                         .executable = wanter == NULL };
}

static enum trial walk(struct search *search, const char *what, const char *who,
                       const struct folder_list *list)
{
    search->place = what;
    search->owner = who;
    enum trial trial = folders_walk(list, search->name, &search->path,
                                    search_try, search);
    if (search->path.failed)
        return stop(search, fail_memory(search->path.size));
    if (trial != TRIAL_END)
        search_add_list(search, what, who, list);
    return trial;
}

static enum trial walk_text(struct search *search, const char *what,
                            const struct search_wanter *wanter,
                            const char *folders, const char *separators)
{
    struct dst dst = dst_of(search, wanter);
    struct folder_list list;
    const char *who = wanter ? wanter->path : NULL;
    if (!*folders)
        return TRIAL_NEXT;
    e64_status status = folders_split(&search->folders, folders, separators,
                                      &dst, &list);
    enum trial trial = status == E64_OK ? walk(search, what, who, &list)
                                        : stop(search, status);
    folder_list_free(&list);
    return trial;
}

// Each template is a path in which '?' stands for the name. One without it has
// been tried already when lib?.so is looked for.
static enum trial search_path(struct search *search)
{
    bool again = search->name != search->request->name;
    struct dst dst = dst_of(search, search->request->wanter);
    dst.mark = search->name;
    const char *at = search->request->path;
    enum trial trial = TRIAL_NEXT;
    search->place = "the runtime's path";
    search->owner = NULL;
    search->lenient = true;
    while (at && *at && trial != TRIAL_END) {
        size_t size = strcspn(at, ";");
        text_cut(&search->path, 0);
        bool usable = size > 0 && !(again && !memchr(at, '?', size))
                   && dst_expand(&dst, at, size, &search->path)
                   && startup_allows(search->startup, text_get(&search->path));
        if (search->path.failed) {
            trial = stop(search, fail_memory(size));
        } else if (usable) {
            trial = search_try(search, search->path.data, true);
            if (trial != TRIAL_END) {
                search_add_reason(search, "no file ");
                text_add(&search->reasons, search->path.data);
                search_add_scope(search, search->path.data, search->path.size);
            }
        }
        at += size + (at[size] == ';');
    }
    search->lenient = false;
    return trial;
}

static enum trial search_rpath(struct search *search)
{
    const struct search_wanter *wanter = search->request->wanter;
    const struct startup *startup = search->startup;
    if (wanter ? wanter->runpath : startup->runpath)
        return TRIAL_NEXT;
    for (; wanter; wanter = wanter->loader) {
        if (!wanter->rpath || wanter->runpath)
            continue;
        enum trial trial = walk_text(search, "DT_RPATH", wanter, wanter->rpath,
                                     ":");
        if (trial == TRIAL_END)
            return trial;
    }
    if (!startup->rpath || startup->runpath)
        return TRIAL_NEXT;
    return walk_text(search, "the executable's DT_RPATH", NULL, startup->rpath,
                     ":");
}

static enum trial search_environment(struct search *search)
{
    if (!search->startup->library_path)
        return TRIAL_NEXT;
    return walk_text(search, "LD_LIBRARY_PATH", NULL,
                     search->startup->library_path, ":;");
}

static enum trial search_runpath(struct search *search)
{
    const struct search_wanter *wanter = search->request->wanter;
    if (wanter && wanter->runpath)
        return walk_text(search, "DT_RUNPATH", wanter, wanter->runpath, ":");
    if (!wanter && search->startup->runpath)
        return walk_text(search, "the executable's DT_RUNPATH", NULL,
                         search->startup->runpath, ":");
    return TRIAL_NEXT;
}

static bool no_defaults(const struct search *search)
{
    const struct search_wanter *wanter = search->request->wanter;
    return wanter ? wanter->nodeflib : search->startup->nodeflib;
}

struct lookup {
    struct search *search;
    char *path;
    bool failed;
};

static void look_up(void *data, struct view cache)
{
    struct lookup *lookup = data;
    const char *path = elf_cache_find(cache,
                                      &lookup->search->startup->ldso.machine,
                                      lookup->search->name);
    lookup->path = path ? memory_copy(path) : NULL;
    lookup->failed = path && !lookup->path;
}

// By the spelling of the path, as ld.so judges it.
static bool in_defaults(const struct search *search, const char *path)
{
    const char *const *folder = search->startup->ldso.defaults;
    while (*folder && strncmp(path, *folder, strlen(*folder)) != 0)
        folder++;
    return *folder != NULL;
}

static enum trial search_cache(struct search *search)
{
    const struct ldso *ldso = &search->startup->ldso;
    struct lookup lookup = { .search = search };
    e64_status status = cachefile_use(ldso, search->request->looked, look_up,
                                      &lookup);
    if (lookup.failed)
        status = fail_memory(strlen(search->name));
    if (status != E64_OK)
        return stop(search, status);
    enum trial trial = TRIAL_NEXT;
    search->place = "ld.so.cache";
    search->owner = NULL;
    bool excluded = lookup.path && no_defaults(search)
                 && in_defaults(search, lookup.path);
    if (excluded)
        search_tell(search, lookup.path, E64_DENIED);
    else if (lookup.path)
        trial = search_try(search, lookup.path, true);
    search->stale |= lookup.path && !excluded;
    if (trial != TRIAL_END) {
        search_add_scope(search, ldso->cache_path, strlen(ldso->cache_path));
        search_add_reason(search, lookup.path ? "not at " : "not in ");
        text_add(&search->reasons, lookup.path ? lookup.path : "");
        text_add(&search->reasons, excluded ? ", which DF_1_NODEFLIB excludes"
                                 : lookup.path ? " where the cache has it"
                                               : ldso->cache_path);
    }
    memory_free(lookup.path);
    return trial;
}

static enum trial search_default(struct search *search)
{
    struct folder_list list = { 0 };
    if (no_defaults(search)) {
        search_add_reason(search, "DF_1_NODEFLIB excludes ld.so's own folders");
        return TRIAL_NEXT;
    }
    e64_status status = folders_take(&search->folders,
                                     search->startup->ldso.defaults, &list);
    enum trial trial = status == E64_OK
                     ? walk(search, "ld.so's own folders", NULL, &list)
                     : stop(search, status);
    folder_list_free(&list);
    return trial;
}

static enum trial step(struct search *search, enum search_place place)
{
    switch (place) {
    case SEARCH_PATH: return search_path(search);
    case SEARCH_RPATH: return search_rpath(search);
    case SEARCH_ENVIRONMENT: return search_environment(search);
    case SEARCH_RUNPATH: return search_runpath(search);
    case SEARCH_CACHE: return search_cache(search);
    case SEARCH_DEFAULT: return search_default(search);
    case SEARCH_PLACES: break;
    }
    return stop(search, fail(E64_INVALID, "search: no place has number %d",
                             (int)place));
}

static const struct search_order usual = {
    SEARCH_PLACES,
    { SEARCH_PATH, SEARCH_RPATH, SEARCH_ENVIRONMENT, SEARCH_RUNPATH,
      SEARCH_CACHE, SEARCH_DEFAULT },
};

static enum trial steps(struct search *search)
{
    const struct search_order *order = search->request->order;
    if (!order)
        order = &usual;
    enum trial trial = TRIAL_NEXT;
    for (size_t i = 0; i < order->count && trial != TRIAL_END; i++)
        trial = step(search, order->places[i]);
    return trial;
}

// All places once more for lib?.so, when a script or program asks for "foo".
static enum trial steps_for_library(struct search *search)
{
    if (search->request->wanter || strstr(search->name, ".so"))
        return TRIAL_NEXT;
    struct text library = { 0 };
    text_add(&library, "lib");
    text_add(&library, search->name);
    text_add(&library, ".so");
    if (library.failed) {
        text_free(&library);
        return stop(search, fail_memory(strlen(search->name) + 7));
    }
    search->name = library.data;
    size_t reasons = search->reasons.size;
    size_t scopes = search->scopes.size, scope_count = search->scope_count;
    enum trial trial = steps(search);
    search->name = search->request->name;
    // The places are the same.
    text_cut(&search->reasons, reasons);
    text_cut(&search->scopes, scopes);
    search->scope_count = scope_count;
    text_free(&library);
    return trial;
}

static e64_status begin(struct search *search,
                        const struct search_request *request,
                        struct elf_file *file)
{
    *search = (struct search){ .request = request, .name = request->name,
                               .file = file };
    *file = (struct elf_file){ .fd = -1 };
    if (request->refused)
        search_add_reason(search, request->refused);
    // To open a plain path needs no more.
    bool plain = strchr(request->name, '/') && !dst_in(request->name);
    return plain ? E64_OK : startup_get(&search->startup);
}

static void finish(struct search *search)
{
    folders_free(&search->folders);
    text_free(&search->path);
    text_free(&search->ended);
    text_free(&search->last);
    text_free(&search->reasons);
    text_free(&search->scopes);
    text_free(&search->passed);
    text_free(&search->obstacle);
}

static e64_status open_path(struct search *search, const char *path)
{
    const struct search_request *request = search->request;
    e64_status status = elf_file_open_path(path, search->file);
    const struct search_probe probe = { path, "the path", NULL, status };
    if (request->probe)
        request->probe(request->probe_data, &probe);
    const struct search_wanter *wanter = request->wanter;
    if (status == E64_NOTFOUND) {
        if (!search->startup)
            status = startup_get(&search->startup);
        return search->startup ? search_fail_path(search, path) : status;
    }
    if (status != E64_OK && wanter && wanter->path)
        error_wanter(wanter->path);
    return status;
}

static e64_status look(struct search *search)
{
    if (strchr(search->name, '/'))
        return open_path(search, search->name);
    if (!*search->name)
        return fail(E64_NOTFOUND, "a library without a name cannot be found");
    if (steps(search) != TRIAL_END && steps_for_library(search) != TRIAL_END)
        return search_fail(search);
    const struct search_wanter *wanter = search->request->wanter;
    if (search->status != E64_OK && wanter && wanter->path)
        error_wanter(wanter->path);
    return search->status;
}

// DT_NEEDED names and paths may hold tokens.
static e64_status look_expanded(struct search *search)
{
    const struct search_wanter *wanter = search->request->wanter;
    if (!dst_in(search->name) || !(wanter || strchr(search->name, '/')))
        return look(search);
    if (wanter && search->startup->secure)
        return fail(E64_DENIED, "%s: a library's $ORIGIN, $LIB and $PLATFORM "
                    "do not count in a program that runs with another's "
                    "rights", search->name);
    struct text name = { 0 };
    struct dst dst = dst_of(search, wanter);
    bool known = dst_expand(&dst, search->name, strlen(search->name), &name);
    e64_status status;
    if (name.failed) {
        status = fail_memory(strlen(search->name));
    } else if (!known || name.size == 0) {
        status = fail(E64_NOTFOUND, "%s: one of its tokens stands for nothing "
                      "here", search->name);
    } else {
        search->name = name.data;
        status = look(search);
    }
    text_free(&name);
    return status;
}

e64_status search_open(const struct search_request *request,
                       struct elf_file *file)
{
    struct search search;
    e64_status status = begin(&search, request, file);
    if (status != E64_OK)
        return status;
    status = look_expanded(&search);
    finish(&search);
    return status;
}

char *search_suiting(const struct search_request *request,
                     bool (*suits)(void *data, const struct elf_file *file),
                     void *data)
{
    struct search search;
    struct elf_file file;
    if (!*request->name || strchr(request->name, '/')
        || begin(&search, request, &file) != E64_OK)
        return NULL;
    search.suits = suits;
    search.suits_data = data;
    char *path = NULL;
    if (steps(&search) == TRIAL_END && search.status == E64_OK) {
        path = search.ended.size ? memory_copy(search.ended.data) : NULL;
        elf_file_close(&file);
    }
    finish(&search);
    return path;
}

// Why a place had nothing to look through.
static const char *const nothing[SEARCH_PLACES] = {
    [SEARCH_PATH] = "the path is empty",
    [SEARCH_RPATH] = "no DT_RPATH counts",
    [SEARCH_ENVIRONMENT] = "LD_LIBRARY_PATH was not set",
    [SEARCH_RUNPATH] = "there is no DT_RUNPATH",
};

e64_status search_in(enum search_place place,
                     const struct search_request *request, char **path)
{
    struct search search;
    struct elf_file file;
    *path = NULL;
    if (!*request->name || strchr(request->name, '/'))
        return fail(E64_NOTFOUND, "'%s' is not a name to look for",
                    request->name);
    e64_status status = begin(&search, request, &file);
    if (status != E64_OK)
        return status;
    if (step(&search, place) != TRIAL_END) {
        const char *reason = text_get(&search.reasons);
        status = fail(E64_NOTFOUND, "%s%s", *reason ? reason : nothing[place],
                      text_get(&search.passed));
    } else {
        *path = search.ended.size ? memory_copy(search.ended.data) : NULL;
        if (!*path && search.status == E64_OK)
            search.status = fail_memory(search.path.size);
        status = *path ? E64_OK : search.status;
        elf_file_close(&file);
    }
    finish(&search);
    return status;
}
