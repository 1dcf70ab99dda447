// What there is instead of a symbol that is not there.

#include "near.h"

#include <string.h>

#include "../memory.h"
#include "spelling.h"

enum {
    MOST_NEAR = 8,
    LONGEST = SPELLING_LONGEST,
    DEMANGLE_STEPS = 4096, // what calling the demangler counts as
};

static const uint64_t all_steps = 1 << 26; // some tenths of a second

struct near_search near_begin(const struct link_scope *scope,
                              struct demangler demangler)
{
    return (struct near_search){ scope, demangler, all_steps };
}

struct nearing {
    struct near_search *search;
    const struct elf_object *object;
    const char *name;
    size_t length;
    // What a C++ name must be to be the same with other parameters, and what
    // its mangled form must then hold; text NULL: that is not asked for.
    struct qualified wanted, base;
    bool anywhere; // given without its namespace it is meant in any
    char part[LONGEST];
    struct near_name found[MOST_NEAR];
    size_t count;
};

static bool is_before(const struct near_name *a, const struct near_name *b)
{
    return a->kind != b->kind ? a->kind < b->kind : a->distance < b->distance;
}

static bool is_same(const struct near_name *a, const struct near_name *b)
{
    if (a->kind != b->kind || strcmp(a->name, b->name) != 0)
        return false;
    return a->kind != NEAR_VERSION || (a->object == b->object
        && strcmp(a->version ? a->version : "",
                  b->version ? b->version : "") == 0);
}

// Keeps the nearest, sorted.
static void add(struct nearing *nearing, const struct near_name *name)
{
    size_t at = nearing->count;
    for (size_t i = 0; i < nearing->count; i++)
        if (is_same(&nearing->found[i], name))
            return;
    while (at > 0 && is_before(name, &nearing->found[at - 1]))
        at--;
    if (at == MOST_NEAR)
        return;
    if (nearing->count < MOST_NEAR)
        nearing->count++;
    for (size_t i = nearing->count - 1; i > at; i--)
        nearing->found[i] = nearing->found[i - 1];
    nearing->found[at] = *name;
}

static bool equal(struct qualified a, struct qualified b)
{
    return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

// A name of C++ as it is written there, or NULL, also when enough of them have
// been asked for. The caller frees it.
static char *demangle_within(struct near_search *search, const char *text)
{
    if (search->steps < DEMANGLE_STEPS)
        return NULL;
    search->steps -= DEMANGLE_STEPS;
    return demangle(&search->demangler, text);
}

// Is a mangled name near to a wanted one also as C++ has it? What mangling
// adds is much alike in all short names.
static bool is_near_as_cxx(const struct nearing *nearing, const char *text)
{
    if (!nearing->wanted.text || strncmp(nearing->name, "_Z", 2) != 0
        || strncmp(text, "_Z", 2) != 0)
        return true;
    char *demangled = demangle_within(nearing->search, text);
    if (!demangled)
        return false;
    struct qualified name = demangled_name(demangled);
    struct qualified wanted = nearing->wanted;
    uint32_t far;
    bool is = spelling_near(wanted.text, wanted.size, name.text, name.size,
                            &far);
    memory_free(demangled);
    return is;
}

// Has a mangled name the name that is wanted, whatever its parameters?
static bool is_signature(const struct nearing *nearing, const char *text)
{
    if (!nearing->wanted.text || strncmp(text, "_Z", 2) != 0
        || strnlen(text, 2 * LONGEST + 1) > 2 * LONGEST
        || !strstr(text, nearing->part))
        return false;
    char *demangled = demangle_within(nearing->search, text);
    if (!demangled)
        return false;
    struct qualified name = demangled_name(demangled);
    bool is = equal(name, nearing->wanted)
        || (nearing->anywhere && equal(demangled_base(name), nearing->base));
    memory_free(demangled);
    return is;
}

static int consider(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct nearing *nearing = data;
    const struct elf_symbols *symbols = nearing->object->symbols;
    const char *text = elf_string(symbols, symbol->st_name);
    const struct elf_version *version = elf_symbol_version(symbols, index);
    struct near_name name = {
        .name = text, .object = nearing->object,
        .version = version && !version->needed
                 ? elf_string(symbols, version->name) : NULL,
    };
    uint64_t *steps = &nearing->search->steps;
    // As far apart as a row of the table may be wide.
    uint64_t cost = 16 + nearing->length;
    if (*steps < cost)
        return 1;
    *steps -= cost;
    // Names that are the ends of one long one cost no more than others.
    bool near = spelling_near(nearing->name, nearing->length, text,
                              strnlen(text, LONGEST + 1), &name.distance);
    if (strcmp(text, nearing->name) == 0)
        name.kind = NEAR_VERSION;
    else if (is_signature(nearing, text))
        name.kind = NEAR_SIGNATURE;
    else if (near && is_near_as_cxx(nearing, text))
        name.kind = NEAR_SPELLING;
    else
        return 0;
    add(nearing, &name);
    return 0;
}

// What is to be asked of C++ names: of a mangled one its own name, of another
// that may be one that name.
static void want_signature(struct nearing *nearing, const char *demangled)
{
    if (!demangled && strncmp(nearing->name, "_Z", 2) == 0)
        return;
    nearing->wanted = demangled_name(demangled ? demangled : nearing->name);
    nearing->base = demangled_base(nearing->wanted);
    nearing->anywhere = !demangled && equal(nearing->wanted, nearing->base);
    struct qualified part = nearing->base;
    // An operator has no name in its mangled form.
    if (part.size > 8 && strncmp(part.text, "operator", 8) == 0)
        part.size = 0;
    while (part.size > 0 && *part.text == '~') {
        part.text++;
        part.size--;
    }
    const char *tag = memchr(part.text, '[', part.size);
    if (tag)
        part.size = (size_t)(tag - part.text);
    if (part.size == 0 || part.size >= sizeof nearing->part)
        nearing->wanted.text = NULL;
    else
        memcpy(nearing->part, part.text, part.size);
}

size_t near_names(struct near_search *search, const char *name,
                  struct near_name *near, size_t room)
{
    struct nearing nearing = { .search = search, .name = name,
                               .length = strnlen(name, LONGEST + 1) };
    char *demangled = demangle(&search->demangler, name);
    if (search->demangler.function)
        want_signature(&nearing, demangled);
    int stop = 0;
    for (uint32_t list = 0; list < search->scope->count && !stop; list++) {
        const uint32_t count = search->scope->counts[list];
        for (uint32_t i = 0; i < count && !stop; i++) {
            nearing.object = search->scope->lists[list][i];
            stop = elf_symbols_each(nearing.object->symbols, consider,
                                    &nearing);
        }
    }
    memory_free(demangled);
    size_t found = nearing.count < room ? nearing.count : room;
    memcpy(near, nearing.found, found * sizeof *near);
    return found;
}
