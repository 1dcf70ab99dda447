// Where it was looked for and why nothing would do, in words.

#include <errno.h>
#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "cachefile.h"
#include "search_state.h"

enum { MOST_NEAR = 5 };

void search_add_scope(struct search *search, const char *place, size_t size)
{
    text_add_bytes(&search->scopes, place, size);
    text_add_bytes(&search->scopes, "", 1);
    search->scope_count++;
}

void search_add_reason(struct search *search, const char *reason)
{
    if (search->reasons.size > 0)
        text_add(&search->reasons, ", ");
    text_add(&search->reasons, reason);
}

void search_add_list(struct search *search, const char *what, const char *who,
                     const struct folder_list *list)
{
    struct text *reasons = &search->reasons;
    search_add_reason(search, "not in ");
    text_add(reasons, what);
    if (who) {
        text_add(reasons, " of ");
        text_add(reasons, who);
    }
    text_add(reasons, list->count > 0 ? " (" : " (no folder that may be used)");
    for (size_t i = 0; i < list->count; i++) {
        const struct folder *folder = list->items[i];
        const char *path = folder->size > 0 ? folder->path : "./";
        size_t size = strlen(path) > 1 ? strlen(path) - 1 : 1;
        text_add(reasons, i > 0 ? ", " : "");
        text_add_bytes(reasons, path, size);
        search_add_scope(search, path, size);
    }
    if (list->count > 0)
        text_add(reasons, ")");
}

// Names in the cache that differ only in what stands before "lib" and after
// ".so".
struct alike {
    const struct elf_cache_machine *machine;
    const char *name;
    const char *last;  // found; lies in the cache
    struct text found; // strings, each with a zero at its end
    size_t count;
};

// Where the name proper of "libNAME.so.1" begins, and its size.
static const char *stem(const char *name, size_t *size)
{
    const char *start = strncmp(name, "lib", 3) == 0 ? name + 3 : name;
    const char *suffix = strstr(start, ".so");
    *size = suffix ? (size_t)(suffix - start) : strlen(start);
    return start;
}

static bool compare(void *data, const char *name, const char *path)
{
    (void)path;
    struct alike *alike = data;
    size_t size, wanted_size;
    const char *proper = stem(name, &size);
    const char *wanted = stem(alike->name, &wanted_size);
    if (size != wanted_size || memcmp(proper, wanted, size) != 0
        || strcmp(name, alike->name) == 0
        // Entries for several processors follow one another.
        || (alike->last && strcmp(name, alike->last) == 0))
        return true;
    alike->last = name;
    text_add_bytes(&alike->found, name, strlen(name) + 1);
    return ++alike->count < MOST_NEAR;
}

static void gather(void *data, struct view cache)
{
    struct alike *alike = data;
    elf_cache_each(cache, alike->machine, compare, alike);
}

// An array of the strings in a text; NULL for none, or when memory runs out,
// which a failure can do without.
static const char **list_strings(const struct text *text, size_t count)
{
    const char **list = count && !text->failed
                      ? memory_array(count, sizeof *list) : NULL;
    const char *at = text_get(text);
    for (size_t i = 0; list && i < count; i++, at += strlen(at) + 1)
        list[i] = at;
    return list;
}

static e64_status fail_with(const struct search *search, const char *advice)
{
    const struct search_wanter *wanter = search->request->wanter;
    const char *by = wanter && wanter->path ? ", needed by " : "";
    const char *who = *by ? wanter->path : "";
    const char *why = text_get(&search->reasons);
    const char *passed = text_get(&search->passed);
    const char *name = search->request->name;
    const char *divided = *why ? "; " : "";
    if (search->obstacle_errno) {
        errno = search->obstacle_errno;
        return fail_system("%s: not found%s%s%s%s%s; cannot open %s", name, by,
                           who, divided, why, passed,
                           text_get(&search->obstacle));
    }
    bool absent = search->obstacle_kind == E64_OK;
    return fail(absent ? E64_NOTFOUND : search->obstacle_kind,
                "%s: not found%s%s%s%s%s%s", name, by, who, divided, why,
                passed, absent ? advice : "");
}

e64_status search_fail(struct search *search)
{
    struct alike alike = { .machine = &search->startup->ldso.machine,
                           .name = search->request->name };
    cachefile_use(&search->startup->ldso, gather, &alike);
    const char **near = list_strings(&alike.found, alike.count);
    const char **scopes = list_strings(&search->scopes, search->scope_count);
    struct text advice = { 0 };
    if (near) {
        text_add(&advice, "; did you mean ");
        text_add(&advice, near[0]);
        text_add(&advice, "?");
    } else {
        text_add(&advice, "; install it, name its folder in LD_LIBRARY_PATH "
                          "before the program starts, or open it by a path "
                          "with a slash");
    }
    e64_status status = fail_with(search, text_get(&advice));
    const struct search_wanter *wanter = search->request->wanter;
    if (wanter && wanter->path)
        error_wanter(wanter->path);
    if (search->obstacle_kind != E64_OK)
        error_path(text_get(&search->obstacle));
    if (scopes)
        error_scopes(scopes, search->scope_count);
    if (near)
        error_near(near, alike.count);
    memory_free(scopes);
    memory_free(near);
    text_free(&advice);
    text_free(&alike.found);
    return status;
}
