// Where it was looked for and why nothing would do, in words.

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "search_state.h"

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

// ", needed by b.so, which a.so needs": on whose behalf, up to who was opened.
static void add_wanters(struct text *text, const struct search_wanter *wanter)
{
    enum { MOST_SHOWN = 8 };
    if (!wanter || !wanter->path)
        return;
    text_format(text, ", needed by %s", wanter->path);
    wanter = wanter->loader;
    for (int i = 0; i < MOST_SHOWN && wanter && wanter->path; i++) {
        text_format(text, ", which %s needs", wanter->path);
        wanter = wanter->loader;
    }
}

static void add_near(struct text *text, const struct search_near *near)
{
    text_add(text, "did you mean ");
    for (size_t i = 0; i < near->count && i < 2
                       && near->far[i] == near->far[0]; i++)
        text_format(text, "%s%s", i ? " or " : "", near->names[i]);
    text_add(text, "?");
}

static void add_advice(const struct search *search,
                       const struct search_near *near, struct text *text)
{
    const struct search_wanter *wanter = search->request->wanter;
    if (search->obstacle_errno)
        return;
    if (search->obstacle_kind == E64_BADFORMAT
        || search->obstacle_kind == E64_BADARCH)
        text_add(text, "install the one for x86-64, 64 bits, or name its "
                       "folder before this one's");
    else if (search_advise(search, text))
        return;
    else if (near->count)
        add_near(text, near);
    else if (search->stale)
        text_add(text, "install it again, or run ldconfig");
    else if (wanter && wanter->path)
        text_format(text, "install it, link %s with a -rpath to its folder, or "
                    "name FOLDER/? in the runtime's path",
                    text_base(wanter->path));
    else
        text_add(text, "install it, open it by a path with a slash, or name "
                       "FOLDER/? in the runtime's path");
}

static e64_status fail_with(const struct search *search, const char *wanters,
                            const char *advice)
{
    const char *why = text_get(&search->reasons);
    const char *passed = text_get(&search->passed);
    const char *name = search->request->name;
    const char *divided = *why ? "; " : "";
    if (search->obstacle_errno) {
        errno = search->obstacle_errno;
        return fail_system("%s: not found%s%s%s%s; cannot open %s", name,
                           wanters, divided, why, passed,
                           text_get(&search->obstacle));
    }
    return fail(search->obstacle_kind == E64_OK ? E64_NOTFOUND
                                                : search->obstacle_kind,
                "%s: not found%s%s%s%s; %s", name, wanters, divided, why,
                passed, advice);
}

static void give_near(const struct search_near *near)
{
    const char *names[SEARCH_MOST_NEAR];
    for (size_t i = 0; i < near->count; i++)
        names[i] = near->names[i];
    if (near->count)
        error_near(names, near->count);
}

// What may help, and who wanted it.
struct report {
    struct search_near near;
    struct text advice, wanters;
};

// Adds it to the error, and frees it.
static void give_report(struct report *report,
                        const struct search_wanter *wanter)
{
    if (wanter && wanter->path)
        error_wanter(wanter->path);
    give_near(&report->near);
    if (report->advice.size)
        error_advice(report->advice.data);
    search_near_free(&report->near);
    text_free(&report->wanters);
    text_free(&report->advice);
}

e64_status search_fail(struct search *search)
{
    const struct search_wanter *wanter = search->request->wanter;
    struct report report = { .near = { .count = 0 } };
    search_near(search, &report.near);
    add_advice(search, &report.near, &report.advice);
    add_wanters(&report.wanters, wanter);
    e64_status status = fail_with(search, text_get(&report.wanters),
                                  text_get(&report.advice));
    // Nothing was wrong with any file: the last place where it might have been.
    if (search->obstacle_kind != E64_OK)
        error_path(text_get(&search->obstacle));
    else if (search->last.size)
        error_path(search->last.data);
    const char **scopes = list_strings(&search->scopes, search->scope_count);
    if (scopes)
        error_scopes(scopes, search->scope_count);
    memory_free(scopes);
    give_report(&report, wanter);
    return status;
}

// Why no file is there: the first folder of the path that is none, or where a
// link leads; false when the file alone is missing.
static bool add_obstacle(struct text *text, const char *path)
{
    char *copy = memory_copy(path), to[256];
    bool found = false;
    for (char *at = copy; at && !found && (at = strchr(at + 1, '/')); ) {
        struct stat stat_of;
        *at = '\0';
        bool is_there = stat(copy, &stat_of) == 0;
        found = !is_there || !S_ISDIR(stat_of.st_mode);
        if (found)
            text_format(text, is_there ? "%s is not a folder"
                                       : "there is no folder %s", copy);
        *at = '/';
    }
    memory_free(copy);
    ssize_t size = found ? -1 : readlink(path, to, sizeof to);
    if (size >= 0)
        text_format(text, "it is a link to %.*s, which is not there",
                    (int)size, to);
    return found || size >= 0;
}

e64_status search_fail_path(const struct search *search, const char *path)
{
    const struct search_wanter *wanter = search->request->wanter;
    struct report report = { .near = { .count = 0 } };
    if (!add_obstacle(&report.advice, path)) {
        search_near_path(search, path, &report.near);
        if (report.near.count)
            add_near(&report.advice, &report.near);
    }
    add_wanters(&report.wanters, wanter);
    fail(E64_NOTFOUND, "%s: no such file%s%s%s", path,
         text_get(&report.wanters), report.advice.size ? "; " : "",
         text_get(&report.advice));
    error_path(path);
    give_report(&report, wanter);
    return E64_NOTFOUND;
}
