// Compiles the rules of a runtime, and finds those of a plugin.

#include "rules.h"

#include <stddef.h>
#include <string.h>

#include "../elf/written.h"
#include "../error.h"
#include "../mapping.h"
#include "../memory.h"

struct compiled {
    struct name_set *allow, *deny;
    struct intercepts intercept;
    struct provides provide;
};

struct exception {
    char *glob;
    struct compiled rules;
};

struct policy {
    struct compiled rules;
    struct exception *exceptions;
    uint32_t exception_count;
};

// What the first programs were compiled with ends there.
#define END_OF(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

static e64_status fail_size(const char *what, size_t size, size_t least)
{
    return fail(E64_INVALID, "e64_runtime_new: struct_size of %s is %zu, less "
                "than %zu; set it to the size of that struct", what, size,
                least);
}

static e64_status fail_null(const char *what, size_t count)
{
    return fail(E64_INVALID, "e64_runtime_new: %s is NULL, but its count "
                "is %zu", what, count);
}

// --------------------------------------------------------------- compiling ---

static e64_status make_names(const char *const *list, struct name_set **made)
{
    uint32_t count = 0;
    if (!list)
        return E64_OK;
    while (list[count])
        count++;
    return names_make(list, count, false, made);
}

// An array whose elements may be shorter or longer than ours.
static const void *element(const void *array, size_t index, size_t size)
{
    return (const char *)array + index * size;
}

static e64_status copy_intercept(const e64_intercept *given, size_t size,
                                 uint32_t index, e64_intercept *copy)
{
    memcpy(copy, given, size < sizeof *copy ? size : sizeof *copy);
    if (!copy->name || !*copy->name)
        return fail(E64_INVALID, "e64_runtime_new: the intercept with index "
                    "%u has no name", index);
    if (!copy->address && !copy->choose)
        return fail(E64_INVALID, "e64_runtime_new: the intercept of '%s' has "
                    "neither an address nor a function that chooses one",
                    copy->name);
    return E64_OK;
}

static e64_status make_intercepts(const e64_rules *rules,
                                  struct intercepts *made)
{
    uint32_t count = (uint32_t)rules->intercept_count;
    const size_t least = END_OF(e64_intercept, data);
    if (!count)
        return E64_OK;
    if (!rules->intercept)
        return fail_null("rules.intercept", count);
    size_t size = rules->intercept->struct_size;
    if (size < least)
        return fail_size("an intercept", size, least);
    const char **names = memory_array(count, sizeof *names);
    made->all = memory_array(count, sizeof *made->all);
    e64_status status = names && made->all ? E64_OK
                      : fail_memory(count * sizeof *made->all);
    for (uint32_t i = 0; status == E64_OK && i < count; i++) {
        status = copy_intercept(element(rules->intercept, i, size), size,
                                i, &made->all[i]);
        names[i] = made->all[i].name;
    }
    if (status == E64_OK)
        status = names_make(names, count, true, &made->names);
    for (uint32_t i = 0; status == E64_OK && i < count; i++) {
        if (names_find(made->names, names[i]) != i + 1)
            status = fail(E64_DUPLICATE, "e64_runtime_new: '%s' is intercepted "
                          "twice; leave one out", names[i]);
        made->all[i].name = names_pattern(made->names, i + 1);
    }
    memory_free(names);
    return status;
}

static e64_status make_table(const e64_provide *given, struct provided *made)
{
    size_t count = given->definition_count;
    size_t size = count ? given->definitions->struct_size : 0;
    const size_t least = offsetof(e64_definition, cell) + 1;
    struct elf_written *rows = memory_array(count ? count : 1, sizeof *rows);
    size_t bytes;
    if (!rows)
        return fail_memory(count * sizeof *rows);
    e64_status status = count && size < least
                      ? fail_size("a definition", size, least) : E64_OK;
    for (size_t i = 0; status == E64_OK && i < count; i++) {
        const e64_definition *one = element(given->definitions, i, size);
        if (!one->name || !*one->name || !one->address || one->cell
            || one->kind > E64_KIND_FUNCTION)
            status = fail(E64_INVALID, "e64_runtime_new: what stands for '%s' "
                          "cannot define '%s' like that: each needs a name and "
                          "an address, is a function or an object, and has no "
                          "cell", given->name, one->name ? one->name : "");
        rows[i] = (struct elf_written){ one->name, one->version,
                                        (uintptr_t)one->address, one->size,
                                        one->kind };
    }
    if (status == E64_OK)
        status = elf_write(rows, (uint32_t)count, given->name, &made->written,
                           &bytes);
    memory_free(rows);
    if (status == E64_OK)
        made->source = (e64_source){ .struct_size = sizeof made->source,
                                     .kind = E64_SOURCE_BYTES,
                                     .bytes = made->written, .size = bytes };
    return status;
}

// Its bytes, its descriptor and its reader stay the caller's.
static e64_status copy_source(const e64_source *given, struct provided *made)
{
    if (given->struct_size < sizeof *given)
        return fail_size("a source", given->struct_size, sizeof *given);
    made->source = *given;
    if (given->path) {
        made->path = memory_copy(given->path);
        made->source.path = made->path;
        if (!made->path)
            return fail_memory(strlen(given->path) + 1);
    }
    return E64_OK;
}

static e64_status check_provide(const e64_provide *given, uint32_t index)
{
    if (!given->name || !*given->name)
        return fail(E64_INVALID, "e64_runtime_new: what is provided with index "
                    "%u has no name, by which it is asked for", index);
    if (given->kind > E64_PROVIDE_TABLE)
        return fail(E64_INVALID, "e64_runtime_new: '%s' is provided in a way "
                    "that there is not (kind %d)", given->name,
                    (int)given->kind);
    bool lacks_path = given->kind == E64_PROVIDE_PATH && !given->path;
    bool lacks_source = given->kind == E64_PROVIDE_SOURCE && !given->source;
    if (lacks_path || lacks_source
        || (given->kind == E64_PROVIDE_TABLE && given->definition_count
            && !given->definitions))
        return fail(E64_INVALID, "e64_runtime_new: nothing is given to stand "
                    "for '%s': its %s NULL", given->name,
                    lacks_path ? "path is" : lacks_source ? "source is"
                    : "definitions are");
    return E64_OK;
}

static e64_status copy_provide(const e64_provide *given, struct provided *made)
{
    const char *name = given->name, *shown = name;
    made->kind = given->kind;
    e64_status status = E64_OK;
    if (given->kind == E64_PROVIDE_PATH) {
        made->path = memory_copy(given->path);
        return made->path ? E64_OK : fail_memory(strlen(given->path) + 1);
    } else if (given->kind == E64_PROVIDE_SOURCE) {
        status = copy_source(given->source, made);
        shown = given->source->name ? given->source->name
              : made->path ? made->path : name;
    } else if (given->kind == E64_PROVIDE_TABLE) {
        status = make_table(given, made);
    }
    if (status == E64_OK) {
        made->name = memory_copy(shown);
        made->source.name = made->name;
    }
    return status != E64_OK || made->name ? status
         : fail_memory(strlen(shown) + 1);
}

static e64_status make_provides(const e64_rules *rules, struct provides *made)
{
    uint32_t count = (uint32_t)rules->provide_count;
    const size_t least = END_OF(e64_provide, definition_count);
    if (!count)
        return E64_OK;
    if (!rules->provide)
        return fail_null("rules.provide", count);
    size_t size = rules->provide->struct_size;
    if (size < least)
        return fail_size("what is provided", size, least);
    const char **names = memory_array(count, sizeof *names);
    made->all = memory_array(count, sizeof *made->all);
    e64_status status = names && made->all ? E64_OK
                      : fail_memory(count * sizeof *made->all);
    for (uint32_t i = 0; status == E64_OK && i < count; i++) {
        const e64_provide *given = element(rules->provide, i, size);
        made->count = i + 1;
        status = check_provide(given, i);
        if (status == E64_OK)
            status = copy_provide(given, &made->all[i]);
        names[i] = given->name;
    }
    if (status == E64_OK)
        status = names_make(names, count, true, &made->names);
    for (uint32_t i = 0; status == E64_OK && i < count; i++)
        if (names_find(made->names, names[i]) != i + 1)
            status = fail(E64_DUPLICATE, "e64_runtime_new: '%s' is provided "
                          "twice; leave one out", names[i]);
    memory_free(names);
    return status;
}

static e64_status compile(const e64_rules *given, struct compiled *made)
{
    const size_t least = END_OF(e64_rules, intercept_count);
    e64_rules rules = { 0 };
    if (!given)
        return E64_OK;
    if (given->struct_size < least)
        return fail_size("the rules", given->struct_size, least);
    memcpy(&rules, given, given->struct_size < sizeof rules
                          ? given->struct_size : sizeof rules);
    e64_status status = make_names(rules.allow, &made->allow);
    if (status == E64_OK)
        status = make_names(rules.deny, &made->deny);
    if (status == E64_OK)
        status = make_intercepts(&rules, &made->intercept);
    if (status == E64_OK)
        status = make_provides(&rules, &made->provide);
    return status;
}

static void decompile(struct compiled *rules)
{
    names_free(rules->allow);
    names_free(rules->deny);
    names_free(rules->intercept.names);
    memory_free(rules->intercept.all);
    names_free(rules->provide.names);
    for (uint32_t i = 0; i < rules->provide.count; i++) {
        struct provided *provided = &rules->provide.all[i];
        memory_free(provided->path);
        memory_free(provided->name);
        if (provided->written)
            mapping_drop(provided->written, provided->source.size);
    }
    memory_free(rules->provide.all);
}

static e64_status add_exception(struct policy *policy,
                                const e64_override *override)
{
    const char *fault = override->glob ? glob_fault(override->glob)
                                       : "it is NULL";
    if (fault)
        return fail(E64_INVALID, "e64_runtime_new: the glob '%s' of an "
                    "override is malformed: %s",
                    override->glob ? override->glob : "", fault);
    struct exception *made = &policy->exceptions[policy->exception_count];
    made->glob = memory_copy(override->glob);
    if (!made->glob)
        return fail_memory(strlen(override->glob) + 1);
    policy->exception_count++;
    return compile(override->rules, &made->rules);
}

e64_status policy_make(const e64_runtime_options *options,
                       struct policy **policy)
{
    size_t count = options->override_count;
    *policy = NULL;
    if (!options->rules && !count)
        return E64_OK;
    if (count && !options->overrides)
        return fail_null("overrides", count);
    struct policy *made = memory_new(sizeof *made);
    if (!made)
        return fail_memory(sizeof *made);
    e64_status status = compile(options->rules, &made->rules);
    const size_t least = END_OF(e64_override, rules);
    size_t size = count ? options->overrides->struct_size : least;
    if (status == E64_OK && size < least)
        status = fail_size("an override", size, least);
    if (status == E64_OK && count) {
        made->exceptions = memory_array(count, sizeof *made->exceptions);
        if (!made->exceptions)
            status = fail_memory(count * sizeof *made->exceptions);
    }
    for (size_t i = 0; status == E64_OK && i < count; i++)
        status = add_exception(made, element(options->overrides, i, size));
    if (status == E64_OK)
        *policy = made;
    else
        policy_free(made);
    return status;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    decompile(&policy->rules);
    for (uint32_t i = 0; i < policy->exception_count; i++) {
        decompile(&policy->exceptions[i].rules);
        memory_free(policy->exceptions[i].glob);
    }
    memory_free(policy->exceptions);
    memory_free(policy);
}

// ----------------------------------------------------------------- finding ---

// All of the path, or what follows one of its slashes.
static bool matches(const char *glob, const char *path)
{
    if (glob_match(glob, path, true))
        return true;
    for (const char *at = path; *glob != '/' && (at = strchr(at, '/')); )
        if (glob_match(glob, ++at, true))
            return true;
    return false;
}

static void take(struct rules *rules, const struct compiled *from, bool own)
{
    if (!rules->allow)
        rules->allow = from->allow;
    if (own && !rules->own_deny)
        rules->own_deny = from->deny;
    if (!own)
        rules->deny = from->deny;
    if (!rules->intercept && from->intercept.names)
        rules->intercept = &from->intercept;
    if (!rules->provide && from->provide.names)
        rules->provide = &from->provide;
}

struct rules policy_rules(const struct policy *policy, const char *path,
                          const char *name)
{
    struct rules rules = { 0 };
    if (!policy)
        return rules;
    for (uint32_t i = 0; path && i < policy->exception_count; i++) {
        const struct exception *exception = &policy->exceptions[i];
        if (matches(exception->glob, path) || matches(exception->glob, name))
            take(&rules, &exception->rules, true);
    }
    take(&rules, &policy->rules, false);
    return rules;
}

bool rules_deny(const struct rules *rules, const char *name, const char **by)
{
    const struct name_set *const lists[] = { rules->deny, rules->own_deny };
    *by = NULL;
    if (strcmp(name, "__cxa_finalize") == 0)
        return false;
    for (int i = 0; i < 2; i++) {
        uint32_t place = lists[i] ? names_find(lists[i], name) : 0;
        if (place) {
            *by = names_pattern(lists[i], place);
            return true;
        }
    }
    return rules->allow && !names_find(rules->allow, name);
}

const e64_intercept *rules_intercept(const struct rules *rules,
                                     const char *name)
{
    uint32_t place = rules->intercept
                   ? names_find(rules->intercept->names, name) : 0;
    return place ? &rules->intercept->all[place - 1] : NULL;
}

const struct provided *rules_provide(const struct rules *rules,
                                     const char *name)
{
    uint32_t place = rules->provide
                   ? names_find(rules->provide->names, name) : 0;
    return place ? &rules->provide->all[place - 1] : NULL;
}
