// A symbol that a plugin does not define, in words.

#include "run.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "near.h"
#include "text.h"

enum { MOST_OBJECTS = 64, MOST_NEAR = 4 };

struct report {
    struct near_search search;
    struct near_name near[MOST_NEAR];
    size_t count;
    struct text advice;
};

// What the host has is long, and rarely meant, unless it has the name itself in
// another version.
static uint32_t take_own(const struct elf_object *const *list, uint32_t count,
                         const char *name, const char *version,
                         const struct elf_object **own)
{
    const struct elf_name any = elf_name(name);
    Elf64_Sym symbol;
    uint32_t own_count = 0;
    for (uint32_t i = 0; i < count && own_count < MOST_OBJECTS; i++)
        if (!list[i]->host || i == 0
            || (version && elf_find(list[i]->symbols, &any, ELF_WANT_DEFINED,
                                    &symbol)))
            own[own_count++] = list[i];
    return own_count;
}

// What is in another object than `self` is said to be there.
static void look_near(struct report *report, const struct link_scope *scope,
                      const struct elf_object *self, const char *name)
{
    struct host_snapshot *snapshot;
    struct host_hold hold;
    struct demangler none = { NULL };
    bool held = host_hold(&snapshot, &hold) == E64_OK;
    report->search = near_begin(scope, held ? demangler_in(snapshot) : none);
    report->count = near_names(&report->search, name, report->near, MOST_NEAR);
    struct text *advice = &report->advice;
    for (size_t i = 0; i < report->count; i++) {
        const struct near_name *near = &report->near[i];
        if (near->kind != report->near->kind
            || (i > 0 && near->kind == NEAR_SPELLING)
            || near->object != report->near->object)
            break;
        const char *and = i ? " and " : near->kind == NEAR_SPELLING
            ? "did you mean " : " has ";
        if (!i && near->kind != NEAR_SPELLING)
            text_add(advice, near->object == self
                             ? "it" : text_base(near->object->name));
        char *cxx = demangle(&report->search.demangler, near->name);
        if (near->kind == NEAR_VERSION)
            text_format(advice, "%s%s%s", and, !near->version
                        ? "one without a version" : i ? "" : "version ",
                        near->version ? near->version : "");
        else if (cxx)
            text_format(advice, "%s'%s', in C++ '%s'", and, near->name, cxx);
        else
            text_format(advice, "%s'%s'", and, near->name);
        memory_free(cxx);
    }
    if (report->count && report->near->kind == NEAR_SPELLING)
        text_add(advice, "?");
    if (held) {
        host_let_go(&hold);
        host_snapshot_release(snapshot);
    }
}

static void give_near(const struct report *report)
{
    const char *near[MOST_NEAR], *versions[MOST_NEAR];
    size_t near_count = 0, version_count = 0;
    for (size_t i = 0; i < report->count; i++) {
        if (report->near[i].kind != NEAR_VERSION)
            near[near_count++] = report->near[i].name;
        else if (report->near[i].version)
            versions[version_count++] = report->near[i].version;
    }
    if (near_count)
        error_near(near, near_count);
    if (version_count)
        error_versions(versions, version_count);
    if (report->advice.size)
        error_advice(report->advice.data);
}

e64_status lookup_fail(const e64_plugin *plugin, const char *name,
                       const char *version,
                       const struct elf_object *const *list, uint32_t count)
{
    const struct elf_object *own[MOST_OBJECTS];
    uint32_t own_count = take_own(list, count, name, version, own);
    const struct link_scope scope = { .lists = { own },
                                      .counts = { own_count }, .count = 1 };
    const char *shown = plugin->names ? plugin->names->text
                                      : plugin->unit.object.name;
    struct report report = { .count = 0 };
    const struct elf_object *self = plugin->host ? &plugin->host->object
                                                 : &plugin->unit.object;
    look_near(&report, &scope, self, name);
    bool hints = report.advice.size && !report.advice.failed;
    fail(E64_UNDEFINED, "%s does not define '%s'%s%s%s%s%s%s%s", shown, name,
         version ? " of version '" : "", version ? version : "",
         version ? "'" : "",
         own_count > 1 && !version ? ", nor does what it needs" : "",
         hints ? " (" : "", hints ? report.advice.data : "", hints ? ")" : "");
    error_symbol(name, version);
    error_path(plugin->unit.object.name);
    const char *scopes[MOST_OBJECTS];
    for (uint32_t i = 0; i < own_count; i++)
        scopes[i] = own[i]->name;
    error_scopes(scopes, own_count);
    give_near(&report);
    text_free(&report.advice);
    return E64_UNDEFINED;
}
