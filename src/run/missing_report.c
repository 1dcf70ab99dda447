// What is missing, in words: who wants it, where it is not, what there is
// instead, and what to do.

#include "missing.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"
#include "near.h"
#include "text.h"

enum {
    MOST_GROUPS = 8,    // of symbols, each with its wanter and version
    MOST_LISTED = 12,   // symbols of one group
    MOST_NEAR = 4,      // names
    MOST_OVERLOADS = 3, // C++ functions of one name
    MOST_FILES = 12,
    LONGEST_TEXT = 3000,
};

struct report {
    struct missing *missing;
    const struct discovery *discovery;
    const struct link_scope *scope;
    struct near_search search;
    struct text text, advice;
    size_t deed; // where in the advice it goes beyond what there is
    // Of the symbol that the failure is about.
    struct near_name near[MOST_NEAR];
    size_t near_count;
};

static const char *symbol_text(const struct link_unit *unit, uint32_t index)
{
    Elf64_Sym symbol;
    elf_symbol(unit->object.symbols, index, &symbol);
    return elf_string(unit->object.symbols, symbol.st_name);
}

static const char *version_text(const struct missing_symbol *symbol)
{
    return symbol->version
         ? elf_string(symbol->unit->object.symbols, symbol->version) : "";
}

// ---------------------------------------------------------------- scope ---

static bool was_listed(const struct link_scope *scope, uint32_t list,
                       uint32_t at)
{
    const struct elf_object *object = scope->lists[list][at];
    for (uint32_t i = 0; i <= list; i++)
        for (uint32_t k = 0; k < (i == list ? at : scope->counts[i]); k++)
            if (scope->lists[i][k] == object)
                return true;
    return false;
}

// What the process has had anyway is named by its first file.
static void add_process(struct text *text, const char *first, uint32_t count,
                        bool whole)
{
    if (!count)
        return;
    text_format(text, "%s%s%s", text->size ? ", " : "",
                whole ? "the process (" : "", text_base(first));
    if (count > 1)
        text_format(text, " and %u more", count - 1);
    text_add(text, whole ? ")" : " of the process");
}

// "the process (lua5.4 and 5 more), ./plugin.so": the objects of a scope in
// their order.
static void add_scope(struct text *text, const struct link_scope *scope)
{
    struct text names = { 0 };
    const char *first = NULL;
    uint32_t host = 0, shown = 0, more = 0;
    bool whole = true; // what of the process comes first is the global scope
    for (uint32_t list = 0; list < scope->count; list++) {
        for (uint32_t i = 0; i < scope->counts[list]; i++) {
            const struct elf_object *object = scope->lists[list][i];
            if (was_listed(scope, list, i))
                continue;
            if (object->host) {
                first = host++ ? first : object->name;
                continue;
            }
            add_process(&names, first, host, whole);
            whole &= !host;
            host = 0;
            if (shown++ < MOST_FILES)
                text_format(&names, "%s%s", names.size ? ", " : "",
                            object->name);
            else
                more++;
        }
    }
    if (more)
        text_format(&names, " and %u more", more);
    add_process(&names, first, host, whole);
    text_add(text, names.size ? text_get(&names) : "an empty scope");
    text->failed |= names.failed;
    text_free(&names);
}

static void give_scopes(const struct link_scope *scope)
{
    const char *names[128];
    uint32_t count = 0;
    for (uint32_t list = 0; list < scope->count; list++)
        for (uint32_t i = 0; i < scope->counts[list]; i++)
            if (count < sizeof names / sizeof *names
                && !was_listed(scope, list, i))
                names[count++] = scope->lists[list][i]->name;
    error_scopes(names, count);
}

// ---------------------------------------------------------- suggestions ---

// Where a symbol is defined beyond the scope, added to the text; false when it
// is not.
static bool add_elsewhere(struct report *report, const struct elf_name *name,
                          struct text *text)
{
    const struct host_snapshot *snapshot = report->discovery->snapshot;
    e64_runtime *runtime = report->discovery->runtime;
    Elf64_Sym symbol;
    bool found = false;
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count && !found; i++) {
        const e64_plugin *plugin = runtime->plugins[i];
        if (plugin->gone || plugin->host || plugin->process
            || !elf_find(plugin->unit.object.symbols, name, ELF_WANT_DEFINED,
                         &symbol))
            continue;
        text_add(text, plugin->unit.object.name);
        found = true;
    }
    lock_give(&runtime->lock);
    for (uint32_t i = 0; i < snapshot->module_count && !found; i++) {
        const struct host_module *module = snapshot->modules[i];
        if (!module->vdso && elf_find(&module->symbols, name, ELF_WANT_DEFINED,
                                      &symbol)) {
            text_add(text, module->path);
            found = true;
        }
    }
    return found;
}

// A program that is linked without -rdynamic exports nothing by itself.
static bool add_program(const struct report *report,
                        const struct elf_name *name, struct text *text)
{
    const struct host_snapshot *snapshot = report->discovery->snapshot;
    const char *program = snapshot->modules[0]->path;
    bool found = unexported_has(program, name->text);
    if (found)
        text_format(text, "%s has it and does not export it: link that with "
                    "-rdynamic, or define it in the runtime",
                    text_base(program));
    return found;
}

// Which library has it that compilers link without being asked.
static bool add_library(const struct link_unit *unit,
                        const struct elf_name *name, struct text *text)
{
    char *library = missing_library(name);
    if (library)
        text_format(text, "%s has it: open that with `global` first", library);
    if (library && !unit->made)
        text_format(text, ", or link %s with it",
                    text_base(unit->object.name));
    memory_free(library);
    return library != NULL;
}

static char *demangled(const struct report *report, const char *name)
{
    return demangle(&report->search.demangler, name);
}

// The names that share the kind of the first: "'a' and 'b'". One constructor
// has two mangled names.
static void add_near(const struct report *report, struct text *text,
                     const struct near_name *near, size_t count, size_t most)
{
    char *last = NULL;
    for (size_t i = 0; i < count && i < most && near[i].kind == near->kind
                       && near[i].object == near->object; i++) {
        bool version = near->kind == NEAR_VERSION;
        char *cxx = version ? NULL : demangled(report, near[i].name);
        const char *shown = version ? near[i].version : near[i].name;
        if (!cxx || !last || strcmp(cxx, last) != 0)
            text_format(text, version ? "%s%s" : "%s'%s'", i ? " and " : "",
                        cxx ? cxx : shown ? shown : "none");
        memory_free(last);
        last = cxx;
    }
    memory_free(last);
}

// What to do about one symbol, in a few words.
static void add_advice(struct report *report,
                       const struct missing_symbol *wanted,
                       const struct near_name *near, size_t count,
                       struct text *text)
{
    const struct elf_symbols *symbols = wanted->unit->object.symbols;
    const char *wanter = wanted->unit->object.name;
    Elf64_Sym symbol;
    elf_symbol(symbols, wanted->symbol, &symbol);
    const struct elf_name name = elf_symbol_name(symbols, wanted->symbol,
                                                 &symbol);
    const char *file = count ? near->object->name : "";
    if (count && near->kind == NEAR_VERSION) {
        text_format(text, "%s has it of version ", file);
        add_near(report, text, near, count, MOST_NEAR);
        text_add(text, " only: ");
        report->deed = text->size;
        if (symbols->of_objects)
            text_format(text, "nothing new is linked with that, so have %s "
                        "use what has come in its place", text_base(wanter));
        else
            text_format(text, "install the %s that %s was linked against",
                        text_base(file), text_base(wanter));
    } else if (count && near->kind == NEAR_SIGNATURE) {
        text_format(text, "%s has ", file);
        add_near(report, text, near, count, MOST_OVERLOADS);
        text_add(text, ": the parameters differ, ");
        report->deed = text->size;
        text_format(text, "compile %s with the headers of that %s",
                    text_base(wanter), text_base(file));
    } else if (add_elsewhere(report, &name, text)) {
        text_format(text, ", which is open, has it, but not for others: open "
                    "that with `global` first, or link %s with it",
                    text_base(wanter));
    } else if (add_program(report, &name, text)
               || add_library(wanted->unit, &name, text)) {
        return;
    } else if (count) {
        text_add(text, "did you mean ");
        add_near(report, text, near, count, 1);
        text_format(text, " of %s?", file);
        report->deed = text->size;
    } else {
        text_format(text, "link %s with the library that has it, or open that "
                    "one with `global` first", text_base(wanter));
    }
}

// The same within a list of many.
static void add_hint(const struct report *report, const struct near_name *near,
                     size_t count, struct text *text)
{
    if (!count)
        return;
    const char *file = text_base(near->object->name);
    if (near->kind == NEAR_SPELLING) {
        text_add(text, " (did you mean ");
        add_near(report, text, near, count, 1);
        text_format(text, " of %s?)", file);
    } else {
        text_format(text, " (%s has %s", file,
                    near->kind == NEAR_VERSION ? "version " : "");
        add_near(report, text, near, count, MOST_OVERLOADS);
        text_add(text, ")");
    }
}

// -------------------------------------------------------------- symbols ---

static bool of_group(const struct missing_symbol *symbol,
                     const struct missing_symbol *first)
{
    return symbol->unit == first->unit && !symbol->told
        && strcmp(version_text(symbol), version_text(first)) == 0;
}

// The first symbol of all is the one that the failure is about.
static size_t look_near(struct report *report,
                        const struct missing_symbol *symbol,
                        struct near_name *near)
{
    size_t count = near_names(&report->search,
                              symbol_text(symbol->unit, symbol->symbol), near,
                              MOST_NEAR);
    if (symbol == report->missing->symbols) {
        memcpy(report->near, near, count * sizeof *near);
        report->near_count = count;
    }
    return count;
}

static void add_symbol(struct report *report,
                       const struct missing_symbol *symbol, bool alone)
{
    const char *name = symbol_text(symbol->unit, symbol->symbol);
    const char *version = alone ? version_text(symbol) : "";
    char *cxx = demangled(report, name);
    text_format(&report->text, "'%s'", cxx ? cxx : name);
    if (cxx || *version)
        text_format(&report->text, " (%s%s%s%s)", cxx ? name : "",
                    cxx && *version ? ", " : "", *version ? "version " : "",
                    version);
    memory_free(cxx);
}

static void add_one(struct report *report)
{
    struct missing_symbol *symbol = report->missing->symbols;
    struct near_name near[MOST_NEAR];
    size_t count = look_near(report, symbol, near);
    text_format(&report->text, "%s needs ", symbol->unit->object.name);
    add_symbol(report, symbol, true);
    text_add(&report->text, ", which nothing that it can see defines");
    add_advice(report, symbol, near, count, &report->advice);
}

static void add_group(struct report *report, struct missing_symbol *first)
{
    const struct missing *missing = report->missing;
    const struct missing_symbol *end = missing->symbols + missing->symbol_count;
    const struct missing_symbol *last = first;
    uint32_t count = 0, shown = 0;
    for (struct missing_symbol *at = first; at < end; at++) {
        if (of_group(at, first)) {
            last = at;
            count++;
        }
    }
    const char *version = version_text(first);
    text_format(&report->text, "%s needs %u symbol%s%s%s that nothing it can "
                "see defines: ", first->unit->object.name, count,
                count > 1 ? "s" : "", *version ? " of version " : "", version);
    const struct missing_symbol group = *first;
    for (struct missing_symbol *at = first; at <= last; at++) {
        if (!of_group(at, &group))
            continue;
        at->told = true;
        if (shown == MOST_LISTED || report->text.size > LONGEST_TEXT)
            continue;
        struct near_name near[MOST_NEAR];
        size_t near_count = look_near(report, at, near);
        text_add(&report->text, shown++ ? ", " : "");
        add_symbol(report, at, false);
        add_hint(report, near, near_count, &report->text);
        if (!report->advice.size)
            add_advice(report, at, near, near_count, &report->advice);
    }
    if (count > shown)
        text_format(&report->text, " and %u more", count - shown);
}

// Each wanter and version on a line of its own.
static void add_groups(struct report *report)
{
    const struct missing *missing = report->missing;
    uint32_t groups = 0, left = missing->symbol_total - missing->symbol_count;
    for (uint32_t i = 0; i < missing->symbol_count; i++) {
        if (missing->symbols[i].told)
            continue;
        if (groups == MOST_GROUPS || report->text.size > LONGEST_TEXT) {
            left++;
            continue;
        }
        text_add(&report->text, groups++ || report->text.size ? "\n" : "");
        add_group(report, &missing->symbols[i]);
    }
    if (left)
        text_format(&report->text, "\nand %u symbols more", left);
}

// -------------------------------------------------------------- failure ---

static void give_missing(const struct missing *missing)
{
    uint32_t count = missing->symbol_count;
    struct error_missing *all = memory_array(count, sizeof *all);
    uint32_t at = 0;
    if (!all)
        return;
    for (uint32_t i = 0; i < count; i++)
        missing->symbols[i].told = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct missing_symbol group = missing->symbols[i];
        for (uint32_t k = i; !group.told && k < count; k++) {
            struct missing_symbol *symbol = &missing->symbols[k];
            if (!of_group(symbol, &group))
                continue;
            symbol->told = true;
            all[at++] = (struct error_missing){
                symbol_text(symbol->unit, symbol->symbol),
                version_text(symbol), symbol->unit->object.name,
            };
        }
    }
    error_missing(all, at);
    memory_free(all);
}

static void give_symbol(const struct report *report)
{
    const struct missing_symbol *symbol = report->missing->symbols;
    const char *near[MOST_NEAR], *versions[MOST_NEAR];
    uint32_t near_count = 0, version_count = 0;
    for (size_t i = 0; i < report->near_count; i++) {
        if (report->near[i].kind != NEAR_VERSION)
            near[near_count++] = report->near[i].name;
        else if (report->near[i].version)
            versions[version_count++] = report->near[i].version;
    }
    error_wanter(symbol->unit->object.name);
    error_symbol(symbol_text(symbol->unit, symbol->symbol),
                 symbol->version ? version_text(symbol) : NULL);
    char *cxx = demangled(report, symbol_text(symbol->unit, symbol->symbol));
    error_demangled(cxx);
    memory_free(cxx);
    if (near_count)
        error_near(near, near_count);
    if (version_count)
        error_versions(versions, version_count);
}

// Symbols of a version that is missing are told of with that. How many are
// left?
static uint32_t leave_versions(struct missing *missing)
{
    uint32_t left = missing->symbol_count;
    for (uint32_t i = 0; i < missing->symbol_count; i++) {
        struct missing_symbol *symbol = &missing->symbols[i];
        for (uint32_t k = 0; k < missing->version_count && !symbol->told; k++) {
            const struct missing_version *version = &missing->versions[k];
            const struct elf_symbols *symbols = version->unit->object.symbols;
            symbol->told = version->unit == symbol->unit && symbol->version
                && symbols->versions[version->version].name == symbol->version;
        }
        left -= symbol->told;
    }
    return left;
}

static void add_all(struct report *report)
{
    struct missing *missing = report->missing;
    struct text *text = &report->text;
    uint32_t left = leave_versions(missing);
    for (uint32_t i = 0; i < missing->version_count && i < MOST_GROUPS; i++)
        missing_add_words(&missing->versions[i], report->discovery, text,
                          &report->advice);
    if (missing->symbol_count == 1 && !missing->version_count)
        add_one(report);
    else if (left)
        add_groups(report);
    if (left) {
        text_add(text, strchr(text_get(text), '\n') ? "\nnot defined in "
                                                    : ": not in ");
        add_scope(text, report->scope);
    }
    // What there is stands beside each of many.
    size_t from = missing->symbol_count == 1 || missing->version_count
                ? 0 : report->deed;
    if (report->advice.size > from)
        text_format(text, "; %s", report->advice.data + from);
}

e64_status missing_fail(struct missing *missing,
                        const struct discovery *discovery,
                        const struct link_scope *scope)
{
    struct report report = {
        .missing = missing, .discovery = discovery, .scope = scope,
        .search = near_begin(scope, demangler_in(discovery->snapshot)),
    };
    e64_status status = missing->version_total ? E64_VERSION : E64_UNDEFINED;
    bool kept = (!missing->symbol_total || missing->symbol_count)
             && (!missing->version_total || missing->version_count);
    if (kept)
        add_all(&report);
    if (!kept || report.text.failed || report.advice.failed) {
        status = fail_memory(LONGEST_TEXT);
    } else {
        fail(status, "%s", report.text.data);
        if (missing->version_count)
            missing_give_version(&missing->versions[0]);
        else
            give_symbol(&report);
        error_advice(text_get(&report.advice));
        give_scopes(scope);
        give_missing(missing);
    }
    text_free(&report.text);
    text_free(&report.advice);
    return status;
}
