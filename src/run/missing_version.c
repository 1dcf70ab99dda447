// A version that a file does not define, in words.

#include "missing.h"

#include <string.h>

#include "../error.h"
#include "text.h"

enum { MOST_VERSIONS = 64 }; // of one file

// Those that a file defines, but for its own name (gABI, VER_FLG_BASE).
static uint32_t defined_versions(const struct elf_object *object,
                                 const char **names, uint32_t room)
{
    const struct elf_symbols *symbols = object->symbols;
    uint32_t count = 0;
    for (uint32_t i = 2; i < symbols->version_count && count < room; i++) {
        const struct elf_version *version = &symbols->versions[i];
        if (version->hash && !version->needed)
            names[count++] = elf_string(symbols, version->name);
    }
    return count;
}

// What a version is called before its number: "GLIBC_".
static size_t family_size(const char *version)
{
    return strcspn(version, "0123456789");
}

// The last of those that are called like the wanted one are the newest.
static void add_versions(struct text *text, const char *wanted,
                         const char **names, uint32_t count)
{
    enum { MOST_SHOWN = 3 };
    const char *alike[MOST_VERSIONS];
    uint32_t alike_count = 0;
    size_t size = family_size(wanted);
    for (uint32_t i = 0; i < count; i++)
        if (size && strncmp(names[i], wanted, size) == 0
            && family_size(names[i]) == size)
            alike[alike_count++] = names[i];
    if (!alike_count)
        memcpy(alike, names, (alike_count = count) * sizeof *names);
    uint32_t from = alike_count > MOST_SHOWN ? alike_count - MOST_SHOWN : 0;
    text_add(text, from ? "defines no newer than " : "defines only ");
    if (from)
        from = alike_count - 1;
    for (uint32_t i = from; i < alike_count; i++)
        text_format(text, "%s%s", i > from ? ", " : "", alike[i]);
    if (!count)
        text_add(text, "others");
}

// "(for 'a', 'b')": the symbols that are wanted of a version.
static void add_users(struct text *text, const struct link_unit *unit,
                      uint32_t version)
{
    enum { MOST_SHOWN = 3 };
    const struct elf_symbols *symbols = unit->object.symbols;
    uint32_t shown = 0, more = 0;
    Elf64_Sym symbol;
    for (uint32_t i = 1; i < symbols->count && elf_symbol(symbols, i, &symbol);
         i++) {
        if (symbol.st_shndx != SHN_UNDEF
            || elf_symbol_version(symbols, i) != &symbols->versions[version])
            continue;
        if (shown == MOST_SHOWN)
            more++;
        else
            text_format(text, "%s'%s'", shown++ ? ", " : " (for ",
                        elf_string(symbols, symbol.st_name));
    }
    if (more)
        text_format(text, " and %u more", more);
    if (shown)
        text_add(text, ")");
}

// " (by DT_RUNPATH of ./a.so)": how that file came to be the one.
static void add_place(struct text *text, const struct elf_object *object)
{
    const e64_plugin *plugin = plugin_of(object);
    const char *place, *owner;
    if (plugin && why_found(&plugin->why, &place, &owner))
        text_format(text, " (by %s%s%s)", place, *owner ? " of " : "", owner);
    text_add(text, " ");
}

// Who has the version, and why that was not taken.
static bool add_elsewhere(const struct missing_version *missing,
                          const struct discovery *discovery,
                          struct text *advice)
{
    const e64_plugin *taken = plugin_of(missing->object);
    if (!missing_add_elsewhere(missing, discovery, advice))
        return false;
    if (taken && !taken->turn)
        text_format(advice, " has it, but is not looked at, as %s comes first: "
                    "name the folder of the one that has it before, or take "
                    "the other away", missing->object->name);
    else
        text_format(advice, " has it, but %s is open already and is taken: "
                    "open the one that has it first", missing->object->name);
    return true;
}

void missing_add_words(const struct missing_version *missing,
                       const struct discovery *discovery,
                       struct text *text, struct text *advice)
{
    const struct elf_symbols *symbols = missing->unit->object.symbols;
    const struct elf_version *version = &symbols->versions[missing->version];
    const char *name = elf_string(symbols, version->name);
    const char *file = elf_string(symbols, version->file);
    const char *names[MOST_VERSIONS];
    uint32_t count = defined_versions(missing->object, names, MOST_VERSIONS);
    text_format(text, "%s%s needs version '%s' of %s", text->size ? "\n" : "",
                missing->unit->object.name, name, file);
    add_users(text, missing->unit, missing->version);
    text_format(text, ", but %s", missing->object->name);
    add_place(text, missing->object);
    add_versions(text, name, names, count);
    if (advice->size)
        return;
    const char *wanter = text_base(missing->unit->object.name);
    if (missing->object->host && host_is_family(file))
        text_format(advice, "%s was built for a newer system: build "
                    "it on this one, or update this one", wanter);
    else if (!add_elsewhere(missing, discovery, advice))
        text_format(advice, "it is older than what %s was linked "
                    "against, or was built otherwise: install the %s of then "
                    "or a newer one", wanter, file);
}

void missing_give_version(const struct missing_version *missing)
{
    const struct elf_symbols *symbols = missing->unit->object.symbols;
    const struct elf_version *version = &symbols->versions[missing->version];
    const char *names[MOST_VERSIONS];
    uint32_t count = defined_versions(missing->object, names, MOST_VERSIONS);
    error_wanter(missing->unit->object.name);
    error_symbol(NULL, elf_string(symbols, version->name));
    error_path(missing->object->name);
    error_versions(names, count);
}
