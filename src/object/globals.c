// Global names, by the static linker's rules (gABI, "Symbol Table"): a
// definition stands before a tentative one, that before a weak one, and there
// are no two of the first kind.

#include <stdio.h>

#include "../elf/symbols.h"
#include "../error.h"
#include "../memory.h"
#include "editor.h"

static struct symbol *find(const struct edit *edit, const char *name,
                           uint64_t key)
{
    if (!edit->bucket_count)
        return NULL;
    struct symbol *symbol = edit->buckets[key & (edit->bucket_count - 1)];
    while (symbol && (symbol->key != key || strcmp(symbol->name, name) != 0))
        symbol = symbol->next;
    return symbol;
}

struct symbol *edit_find(const struct edit *edit, const char *name)
{
    return find(edit, name, edit_hash(edit, name));
}

static e64_status make_buckets(struct edit *edit)
{
    uint32_t count = edit->bucket_count ? 4 * edit->bucket_count : 1024;
    struct symbol **buckets = memory_array(count, sizeof *buckets);
    if (!buckets)
        return fail_memory(count * sizeof *buckets);
    for (uint32_t i = 0; i < edit->bucket_count; i++) {
        for (struct symbol *symbol = edit->buckets[i], *next; symbol;
             symbol = next) {
            struct symbol **bucket = &buckets[symbol->key & (count - 1)];
            next = symbol->next;
            symbol->next = *bucket;
            *bucket = symbol;
        }
    }
    memory_free(edit->buckets);
    edit->buckets = buckets;
    edit->bucket_count = count;
    return E64_OK;
}

// The entry of a name, which is made if there is none.
static e64_status enter(struct edit *edit, const char *name,
                        struct symbol **entry)
{
    uint64_t key = edit_hash(edit, name);
    *entry = find(edit, name, key);
    if (*entry)
        return E64_OK;
    e64_status status = edit->symbol_count < edit->bucket_count
                      ? E64_OK : make_buckets(edit);
    if (status != E64_OK)
        return status;
    struct symbol *symbol = edit_new(edit, sizeof *symbol);
    if (!symbol)
        return fail_memory(sizeof *symbol);
    struct symbol **bucket = &edit->buckets[key & (edit->bucket_count - 1)];
    *symbol = (struct symbol){ .name = name, .key = key,
                               .hash = elf_gnu_hash(name), .next = *bucket };
    *bucket = *entry = symbol;
    edit->symbol_count++;
    return E64_OK;
}

// A reference. What is defined nowhere yet is on the list of what archives may
// define as soon as a reference is not weak.
static e64_status refer(struct edit *edit, const struct elf_symbol *read,
                        struct symbol *symbol)
{
    if (symbol->place == PLACE_NONE && symbol->type == STT_NOTYPE)
        symbol->type = read->type;
    if (read->binding == STB_WEAK)
        return E64_OK;
    symbol->wanted = true;
    if (symbol->place != PLACE_NONE || symbol->listed)
        return E64_OK;
    e64_status status = memory_grow(&edit->wanted, edit->wanted_count,
                                    &edit->wanted_room, sizeof symbol);
    if (status == E64_OK) {
        edit->wanted[edit->wanted_count++] = symbol;
        symbol->listed = true;
    }
    return status;
}

// "a.o (.text+0x10)"
static void describe(const struct unit *unit, uint32_t section, uint64_t value,
                     char *room, size_t size)
{
    if (section < unit->read.section_count)
        snprintf(room, size, "%s (%s+0x%llx)", unit->name,
                 unit->read.sections[section].name, (unsigned long long)value);
    else
        snprintf(room, size, "%s (absolute, 0x%llx)", unit->name,
                 (unsigned long long)value);
}

static e64_status clash(const struct symbol *symbol, const struct unit *unit,
                        const struct elf_symbol *read)
{
    char first[320], second[320];
    describe(symbol->unit, symbol->place == PLACE_FIXED
             ? (uint32_t)ELF_IN_ABS : symbol->section, symbol->value, first,
             sizeof first);
    describe(unit, read->section, read->value, second, sizeof second);
    fail(E64_DUPLICATE, "'%s' is defined twice: by %s and by %s; only one of "
         "them may, unless the others are weak or static", symbol->name,
         first, second);
    error_path(unit->name);
    error_wanter(symbol->unit->name);
    error_symbol(symbol->name, NULL);
    return E64_DUPLICATE;
}

// Does the definition that is read take the place of what there is?
static bool is_better(const struct symbol *symbol,
                      const struct elf_symbol *read)
{
    bool weak = read->binding == STB_WEAK;
    bool common = read->section == ELF_IN_COMMON;
    if (symbol->place == PLACE_NONE)
        return true;
    if (symbol->place == PLACE_COMMON)
        return !weak && !common;
    return symbol->binding == STB_WEAK && !weak;
}

static bool is_same_constant(const struct symbol *symbol,
                             const struct elf_symbol *read)
{
    return symbol->place == PLACE_FIXED && read->section == ELF_IN_ABS
        && symbol->value == read->value;
}

// As .symver has it, which gives a definition a second name.
static bool is_same_place(const struct symbol *symbol, const struct unit *unit,
                          const struct elf_symbol *read)
{
    return symbol->unit == unit && symbol->section == read->section
        && symbol->value == read->value;
}

static e64_status define(struct unit *unit, const struct elf_symbol *read,
                         struct symbol *symbol)
{
    bool common = read->section == ELF_IN_COMMON;
    if (symbol->place == PLACE_COMMON && common) {
        if (symbol->size < read->size)
            symbol->size = read->size;
        if (symbol->value < read->value)
            symbol->value = read->value;
        return E64_OK;
    }
    if (!is_better(symbol, read)) {
        bool weak = read->binding == STB_WEAK || symbol->binding == STB_WEAK
                 || symbol->place == PLACE_COMMON || common;
        return weak || is_same_constant(symbol, read)
                    || is_same_place(symbol, unit, read)
             ? E64_OK : clash(symbol, unit, read);
    }
    symbol->unit = unit;
    symbol->section = read->section;
    symbol->value = read->value;
    symbol->size = read->size;
    symbol->type = read->type;
    symbol->binding = read->binding;
    symbol->place = common ? PLACE_COMMON
                  : read->section == ELF_IN_ABS ? PLACE_FIXED : PLACE_SECTION;
    if (symbol->type == STT_COMMON)
        symbol->type = STT_OBJECT;
    if (symbol->place == PLACE_SECTION
        && unit->read.sections[read->section].flags & SHF_TLS)
        symbol->type = STT_TLS;
    return E64_OK;
}

// The narrowest of all that objects say of a name counts, references too.
static void narrow(struct symbol *symbol, uint8_t visibility)
{
    if (visibility != STV_DEFAULT
        && (symbol->visibility == STV_DEFAULT
            || visibility < symbol->visibility))
        symbol->visibility = visibility;
}

// A version that assembly gives to a name (.symver) follows an @, or two of a
// definition that is the default one. The image has no versions: that one is
// its only one.
static e64_status check_version(struct edit *edit, const struct unit *unit,
                                struct elf_symbol *read)
{
    const char *at = strchr(read->name, '@');
    if (!at)
        return E64_OK;
    if (at[1] == '@') {
        char *name = edit_new(edit, (size_t)(at - read->name) + 1);
        if (!name)
            return fail_memory((size_t)(at - read->name) + 1);
        read->name = memcpy(name, read->name, (size_t)(at - read->name));
        return E64_OK;
    }
    // An older one that is defined keeps its odd name, by which nobody asks.
    if (read->section != ELF_IN_NONE)
        return E64_OK;
    fail(E64_UNSUPPORTED, "%s: wants '%s', a version by name (.symver), and "
         "imports of objects are of the default version",
         unit->name, read->name);
    error_path(unit->name);
    error_symbol(read->name, NULL);
    return E64_UNSUPPORTED;
}

e64_status edit_add_symbols(struct edit *edit, struct unit *unit)
{
    const struct elf_relocatable *read = &unit->read;
    e64_status status = E64_OK;
    for (uint32_t i = read->local_count;
         status == E64_OK && i < read->symbol_count; i++) {
        struct elf_symbol one = elf_relocatable_symbol(read, i);
        struct symbol *symbol;
        if (!*one.name)
            continue;
        status = check_version(edit, unit, &one);
        if (status != E64_OK)
            break;
        // What a dropped group defined is what its other copy defines.
        if (one.section < read->section_count
            && unit->pieces[one.section].dropped)
            one.section = ELF_IN_NONE;
        status = enter(edit, one.name, &symbol);
        if (status != E64_OK)
            break;
        unit->symbols[i] = symbol;
        narrow(symbol, one.visibility);
        status = one.section == ELF_IN_NONE ? refer(edit, &one, symbol)
                                            : define(unit, &one, symbol);
    }
    return status;
}

struct symbol *edit_local(struct edit *edit, struct unit *unit,
                          uint32_t index)
{
    if (unit->symbols[index])
        return unit->symbols[index];
    struct symbol *symbol = edit_new(edit, sizeof *symbol);
    if (!symbol)
        return NULL;
    struct elf_symbol read = { .name = "" };
    if (index)
        read = elf_relocatable_symbol(&unit->read, index);
    *symbol = (struct symbol){
        .name = read.name, .unit = unit, .value = read.value,
        .size = read.size, .section = read.section, .type = read.type,
        .visibility = STV_HIDDEN, .local = true,
        .place = read.section == ELF_IN_ABS || read.section == ELF_IN_NONE
               ? PLACE_FIXED : PLACE_SECTION,
    };
    if (symbol->place == PLACE_SECTION
        && unit->read.sections[read.section].flags & SHF_TLS)
        symbol->type = STT_TLS;
    return unit->symbols[index] = symbol;
}
