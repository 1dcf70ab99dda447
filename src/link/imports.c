// The table of what a plugin's imports are bound to.

#include "link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"

// What a plugin's import of its own symbol comes to.
static void make_own(const struct link_unit *unit, uint32_t symbol,
                     uint32_t class, struct link_binding *binding)
{
    Elf64_Sym read = { 0 };
    elf_symbol(unit->object.symbols, symbol, &read);
    *binding = (struct link_binding){
        .definer = &unit->object,
        .symbol = symbol,
        .definition = symbol,
        .value = elf_symbol_value(&unit->object, &read),
        .size = read.st_size,
        .type = ELF64_ST_TYPE(read.st_info),
        .class = (uint8_t)class,
    };
}

// ------------------------------------------------------------ the table ---

// On the heap what is freed stays dirty, and below what comes after it.
enum { LARGE = 16384 };

// No fewer than there are imports of what the plugin does not define itself: of
// its own few have an entry. Symbols that DT_GNU_HASH does not cover come
// first, here up to a whole word; without it, all count.
static uint32_t count_undefined(const struct link_unit *unit)
{
    const struct link_bindings *bindings = &unit->bindings;
    const struct elf_symbols *symbols = unit->object.symbols;
    uint32_t words = (bindings->symbols + 63) / 64, count = 0;
    if (symbols->gnu_buckets && symbols->gnu_offset / 64 + 1 < words)
        words = symbols->gnu_offset / 64 + 1;
    for (uint32_t i = 0; i < words; i++)
        for (int class = 0; class < 2; class++)
            count += (uint32_t)__builtin_popcountll(
                bindings->words[i].wanted[class]);
    return count;
}

// A large one has room for all imports: what is not used is not touched.
static e64_status make_room(struct link_unit *unit)
{
    struct link_bindings *bindings = &unit->bindings;
    bindings->undefined = count_undefined(unit);
    bindings->room = bindings->undefined + 1;
    size_t size = bindings->room * sizeof *bindings->all;
    if (size < LARGE) {
        bindings->all = memory_resize(NULL, size);
        return bindings->all ? E64_OK : fail_memory(size);
    }
    bindings->room = bindings->imports + 1;
    size = bindings->room * sizeof *bindings->all;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return fail_memory(size);
    bindings->all = at;
    bindings->mapped = size;
    return E64_OK;
}

static void drop_room(struct link_bindings *bindings, void *start)
{
    if (bindings->mapped)
        mapping_drop(start, bindings->mapped);
    else
        memory_free(start);
    bindings->mapped = 0;
}

e64_status link_bindings_trim(struct link_bindings *bindings)
{
    size_t size = (bindings->count + 1) * sizeof *bindings->all;
    if (bindings->mapped)
        return E64_OK;
    struct link_entry *all = memory_resize(bindings->all, size);
    if (!all)
        return fail_memory(size);
    bindings->all = all;
    return E64_OK;
}

e64_status link_bindings_new(struct link_unit *unit)
{
    struct link_bindings *bindings = &unit->bindings;
    e64_status status = make_room(unit);
    if (status == E64_OK)
        status = memory_grow(&bindings->definers, 0, &bindings->definer_room,
                             sizeof *bindings->definers);
    if (status != E64_OK)
        return status;
    bindings->definers[LINK_NOBODY] = NULL;
    bindings->definers[LINK_SELF] = &unit->object;
    bindings->definer_count = LINK_SELF + 1;
    return E64_OK;
}

static e64_status add_definer(struct link_unit *unit,
                              const struct elf_object *definer)
{
    struct link_bindings *bindings = &unit->bindings;
    uint32_t count = bindings->definer_count;
    if (count == LINK_DEFINERS)
        return fail(E64_UNSUPPORTED, "%s: needs symbols of more than %u "
                    "libraries", unit->object.name, LINK_DEFINERS - 2);
    e64_status status = memory_grow(&bindings->definers, count,
                                    &bindings->definer_room, sizeof definer);
    if (status == E64_OK)
        bindings->definers[bindings->definer_count++] = definer;
    return status;
}

e64_status link_number(struct link_unit *unit,
                       const struct elf_object *definer, uint32_t *number)
{
    const struct link_bindings *bindings = &unit->bindings;
    *number = 0;
    while (*number < bindings->definer_count
           && bindings->definers[*number] != definer)
        ++*number;
    return *number < bindings->definer_count ? E64_OK
                                             : add_definer(unit, definer);
}

static e64_status add_extra(struct link_bindings *bindings, uint64_t value)
{
    e64_status status = memory_grow(&bindings->extras, bindings->extra_count,
                                    &bindings->extra_room,
                                    sizeof *bindings->extras);
    if (status == E64_OK)
        bindings->extras[bindings->extra_count++] = (struct link_extra){
            bindings->count, value };
    return status;
}

e64_status link_enter(struct link_unit *unit,
                      const struct link_binding *binding)
{
    struct link_bindings *bindings = &unit->bindings;
    uint32_t number;
    e64_status status = link_number(unit, binding->definer, &number);
    if (status == E64_OK && binding->via == LINK_VIA_INTERCEPT)
        status = add_extra(bindings, binding->original);
    else if (status == E64_OK && binding->via == LINK_VIA_HOOK)
        status = add_extra(bindings, binding->size);
    if (status == E64_OK)
        status = memory_grow(&bindings->all, bindings->count, &bindings->room,
                             sizeof *bindings->all);
    if (status != E64_OK)
        return status;
    bindings->unique |= binding->unique;
    bindings->all[bindings->count++] = (struct link_entry){
        .value = binding->value,
        .definition = binding->definition,
        .definer = (uint16_t)number,
        .type = binding->type,
        .via = binding->via & 7u,
        .asked = binding->asked,
        .unique = binding->unique,
        .undefined = binding->undefined,
    };
    return E64_OK;
}

e64_status link_enter_found(struct link_unit *unit,
                            const struct elf_object *definer, uint32_t number,
                            uint32_t definition, const Elf64_Sym *symbol)
{
    struct link_bindings *bindings = &unit->bindings;
    e64_status status = memory_grow(&bindings->all, bindings->count,
                                    &bindings->room, sizeof *bindings->all);
    if (status != E64_OK)
        return status;
    bindings->all[bindings->count++] = (struct link_entry){
        .value = elf_symbol_value(definer, symbol),
        .definition = definition,
        .definer = (uint16_t)number,
        .type = ELF64_ST_TYPE(symbol->st_info),
    };
    return E64_OK;
}

static int compare_extras(const void *left, const void *right)
{
    uint32_t one = ((const struct link_extra *)left)->entry;
    uint32_t two = ((const struct link_extra *)right)->entry;
    return (one > two) - (one < two);
}

static uint64_t find_extra(const struct link_bindings *bindings,
                           uint32_t entry)
{
    const struct link_extra wanted = { .entry = entry };
    const struct link_extra *found = bsearch(&wanted, bindings->extras,
                                             bindings->extra_count,
                                             sizeof wanted, compare_extras);
    return found ? found->value : 0;
}

static bool read_definition(const struct link_binding *binding,
                            Elf64_Sym *read)
{
    return binding->definer && binding->definition
        && elf_symbol(binding->definer->symbols, binding->definition, read);
}

static void show_entry(const struct link_bindings *bindings, uint32_t number,
                       struct link_binding *binding)
{
    const struct link_entry *entry = &bindings->all[number];
    Elf64_Sym read;
    binding->definer = bindings->definers[entry->definer];
    binding->definition = entry->definition;
    binding->value = entry->value;
    binding->type = entry->type;
    binding->via = entry->via;
    binding->asked = entry->asked;
    binding->unique = entry->unique;
    binding->undefined = entry->undefined;
    if (binding->via == LINK_VIA_HOOK)
        binding->size = find_extra(bindings, number);
    else if (read_definition(binding, &read))
        binding->size = read.st_size;
    if (binding->via == LINK_VIA_INTERCEPT)
        binding->original = find_extra(bindings, number);
}

// -------------------------------------------------------- kept ---

// Most entries say no more than whose symbol it is, and fit a word. The others
// take four, of which the first is odd.
enum { DEFINER_BITS = 11, DEFINITION_BITS = 20, WHOLE_WORDS = 4 };
_Static_assert(WHOLE_WORDS * sizeof(uint32_t) <= sizeof(struct link_entry),
               "what is kept of an entry is no longer than the entry");

static inline bool is_plain(const struct link_entry *entry)
{
    return entry->via == LINK_VIA_SCOPE && !entry->asked
        && entry->definer >> DEFINER_BITS == 0
        && entry->definition >> DEFINITION_BITS == 0;
}

static uint8_t *keep_whole(uint8_t *at, const struct link_entry *entry)
{
    const uint32_t words[WHOLE_WORDS] = {
        1u | (uint32_t)entry->definer << 1 | (uint32_t)entry->type << 17
            | (uint32_t)entry->via << 25 | (uint32_t)entry->asked << 28,
        entry->definition,
        (uint32_t)entry->value,
        (uint32_t)(entry->value >> 32),
    };
    memcpy(at, words, sizeof words);
    return at + sizeof words;
}

static inline uint8_t *keep_entry(uint8_t *at, const struct link_entry *entry)
{
    if (!is_plain(entry))
        return keep_whole(at, entry);
    const uint32_t word = (uint32_t)entry->definer << 1
                        | entry->definition << (DEFINER_BITS + 1);
    memcpy(at, &word, sizeof word);
    return at + sizeof word;
}

static void show_whole(const struct link_bindings *bindings,
                       const uint32_t *words, struct link_binding *binding)
{
    binding->definer = bindings->definers[words[0] >> 1 & 0xffff];
    binding->type = (uint8_t)(words[0] >> 17);
    binding->via = words[0] >> 25 & 7;
    binding->asked = words[0] >> 28 & 1;
    binding->definition = words[1];
    binding->value = words[2] | (uint64_t)words[3] << 32;
}

static void show_plain(const struct link_bindings *bindings, uint32_t word,
                       struct link_binding *binding)
{
    Elf64_Sym read;
    binding->definer = bindings->definers[word >> 1
                                          & ((1u << DEFINER_BITS) - 1)];
    binding->definition = word >> (DEFINER_BITS + 1);
    if (!read_definition(binding, &read))
        return;
    binding->value = elf_symbol_value(binding->definer, &read);
    binding->size = read.st_size;
    binding->type = ELF64_ST_TYPE(read.st_info);
}

void link_bindings_keep(struct link_bindings *bindings)
{
    // In place, and from there to where it takes no more than it needs.
    uint8_t *start = (uint8_t *)bindings->all, *end = start;
    if (!start) // what stands for the host's is bound to nothing
        return;
    for (uint32_t i = 0; i < bindings->count; i++)
        end = keep_entry(end, &bindings->all[i]);
    size_t size = (size_t)(end - start);
    bindings->kept = memory_resize(NULL, size + 1);
    if (bindings->kept) {
        memcpy(bindings->kept, start, size);
        drop_room(bindings, start);
    } else { // where it is, then: memory from mmap takes more
        bindings->kept = bindings->mapped ? NULL
                       : memory_resize(start, size + 1);
        if (!bindings->kept)
            bindings->kept = (uint32_t *)(void *)start;
    }
    memory_free(bindings->first);
    memory_free(bindings->extras);
    bindings->all = NULL;
    bindings->first = NULL;
    bindings->extras = NULL;
    bindings->extra_count = bindings->extra_room = 0;
}

// ------------------------------------------------------------ reading it ---

static void show(const struct link_unit *unit, struct link_walk *walk,
                 struct link_binding *binding)
{
    const struct link_bindings *bindings = &unit->bindings;
    if (!bindings->kept) {
        show_entry(bindings, walk->entry++, binding);
        return;
    }
    const uint32_t *words = &bindings->kept[walk->at];
    if (words[0] & 1)
        show_whole(bindings, words, binding);
    else
        show_plain(bindings, words[0], binding);
    walk->at += words[0] & 1 ? WHOLE_WORDS : 1;
}

bool link_next(const struct link_unit *unit, struct link_walk *walk,
               struct link_binding *binding)
{
    const struct link_bindings *bindings = &unit->bindings;
    while (walk->symbol < bindings->symbols) {
        const struct link_word *word = &bindings->words[walk->symbol / 64];
        uint32_t symbol = walk->symbol, class = walk->class;
        if (!((word->wanted[0] | word->wanted[1]) >> symbol % 64)) {
            walk->symbol = (symbol / 64 + 1) * 64;
            continue;
        }
        walk->class = !class;
        walk->symbol += class;
        if (!link_wants(bindings, symbol, class))
            continue;
        *binding = (struct link_binding){ .symbol = symbol,
                                          .class = (uint8_t)class };
        if (link_is_own(bindings, symbol))
            make_own(unit, symbol, class, binding);
        else
            show(unit, walk, binding);
        return true;
    }
    return false;
}

bool link_binding(const struct link_unit *unit, uint32_t symbol,
                  enum link_class class, struct link_binding *binding)
{
    const struct link_bindings *bindings = &unit->bindings;
    struct link_walk walk = { 0 };
    if (!link_wants(bindings, symbol, class))
        return false;
    if (link_is_own(bindings, symbol)) {
        make_own(unit, symbol, class, binding);
        return true;
    }
    if (!bindings->kept) {
        *binding = (struct link_binding){ .symbol = symbol,
                                          .class = (uint8_t)class };
        const struct link_entry *entry = link_entry(bindings, symbol, class);
        show_entry(bindings, (uint32_t)(entry - bindings->all), binding);
        return true;
    }
    while (link_next(unit, &walk, binding))
        if (binding->symbol == symbol && binding->class == class)
            break;
    return true;
}

bool link_imports(const struct link_unit *unit, uint32_t symbol)
{
    return link_wants(&unit->bindings, symbol, LINK_CLASS_ANY)
        || link_wants(&unit->bindings, symbol, LINK_CLASS_DEFINED);
}

void link_bindings_free(struct link_bindings *bindings)
{
    if (bindings->all)
        drop_room(bindings, bindings->all);
    else if (bindings->kept)
        drop_room(bindings, bindings->kept);
    memory_free(bindings->first);
    memory_free(bindings->extras);
    memory_free(bindings->definers);
    memory_free(bindings->words);
    *bindings = (struct link_bindings){ 0 };
}
