// The table of what lookups have come to.
//
// A place is read and written word by word. Its turn is odd while it is
// written, and who reads it has read it whole when the turn was even before and
// is the same after: each load is an acquire, so that the next one is not made
// before it, and each store a release.

#include "recall.h"

#include <string.h>

#include "../hash.h"

// A name is in one of the places of one row.
enum { PLACES = 4, ROWS = 1024, MISSING_ROWS = 256, MISSING_WORDS = 13 };

enum { DIRECT = 1 << 8, MISSING = 1 << 9 }; // and below that the kind

// One line of the cache.
struct place {
    _Alignas(64) atomic_uint turn;
    atomic_uint what;
    atomic_ullong plugin, hash;
    _Atomic(const struct elf_object *) object;
    _Atomic(const char *) name, version;
    atomic_ullong address; // unless DIRECT the index of the symbol
    atomic_ullong size;
};

// A name that is missing is in nobody's table of strings, so it stands here.
struct missing_place {
    _Alignas(64) atomic_uint turn;
    atomic_uint length;
    atomic_ullong plugin;
    atomic_ullong words[MISSING_WORDS]; // its text, with zeros after it
};

_Static_assert(sizeof(struct place) == 64, "place");
_Static_assert(sizeof(struct missing_place) == 128, "missing_place");

static struct place places[ROWS][PLACES];
static struct missing_place missing[MISSING_ROWS][PLACES];
static atomic_uint next; // in its row, to be written over

void recall_name(struct recall *recall, const e64_plugin *plugin,
                 const char *text)
{
    recall->plugin = plugin->generation;
    recall->text = text;
    recall->length = strlen(text);
    recall->hash = text_hash(text, recall->length) | 1ull << 63;
}

void recall_key(struct recall *recall, const e64_plugin *plugin,
                uint64_t number)
{
    recall->plugin = plugin->generation;
    recall->text = NULL;
    recall->hash = number;
}

static uint64_t row_of(const struct recall *recall)
{
    return (recall->hash + recall->plugin) * 0x9e3779b97f4a7c15 >> 32;
}

// --------------------------------------------------------------- reading ---

#define LOAD(field) atomic_load_explicit(&(field), memory_order_acquire)

static enum recalled read_place(const struct place *place,
                                const struct recall *recall,
                                e64_symbol *symbol,
                                const struct elf_object **object,
                                uint32_t *index)
{
    unsigned turn = LOAD(place->turn);
    if (turn & 1 || LOAD(place->hash) != recall->hash
        || LOAD(place->plugin) != recall->plugin)
        return RECALLED_NOT;
    unsigned what = LOAD(place->what);
    const struct elf_object *definer = LOAD(place->object);
    uint64_t address = LOAD(place->address);
    *symbol = (e64_symbol){
        .name = LOAD(place->name), .version = LOAD(place->version),
        .address = what & DIRECT ? (void *)(uintptr_t)address : NULL,
        .size = LOAD(place->size), .kind = what & (DIRECT - 1),
    };
    // From here on what was read may be looked into: the plugin has it.
    if (LOAD(place->turn) != turn)
        return RECALLED_NOT;
    if (what & MISSING)
        return RECALLED_MISSING;
    if (recall->text && strcmp(recall->text, symbol->name) != 0)
        return RECALLED_NOT;
    symbol->plugin = plugin_of(definer);
    symbol->file = definer->name;
    *object = definer;
    *index = (uint32_t)address;
    return what & DIRECT ? RECALLED_FOUND : RECALLED_FROM;
}

// The word of a text from `at` on, and zeros after its end.
static uint64_t word_at(const struct recall *recall, size_t at)
{
    return at + 8 <= recall->length ? text_word(recall->text + at)
         : text_rest(recall->text + at, recall->length - at);
}

static bool fits(const struct recall *recall)
{
    return recall->text && recall->length <= 8 * MISSING_WORDS;
}

static bool is_missing(const struct missing_place *place,
                       const struct recall *recall)
{
    unsigned turn = LOAD(place->turn);
    if (turn & 1 || LOAD(place->length) != recall->length
        || LOAD(place->plugin) != recall->plugin)
        return false;
    for (size_t at = 0; at < recall->length; at += 8)
        if (LOAD(place->words[at / 8]) != word_at(recall, at))
            return false;
    return LOAD(place->turn) == turn;
}

enum recalled recall(const struct recall *recall, e64_symbol *symbol,
                     const struct elf_object **object, uint32_t *index)
{
    uint64_t row = row_of(recall);
    const struct place *places_ = places[row % ROWS];
    for (int i = 0; i < PLACES; i++) {
        enum recalled recalled = read_place(&places_[i], recall, symbol,
                                            object, index);
        if (recalled != RECALLED_NOT)
            return recalled;
    }
    const struct missing_place *missing_ = missing[row % MISSING_ROWS];
    for (int i = 0; fits(recall) && i < PLACES; i++)
        if (is_missing(&missing_[i], recall))
            return RECALLED_MISSING;
    return RECALLED_NOT;
}

// --------------------------------------------------------------- writing ---

#define STORE(field, value) \
    atomic_store_explicit(&(field), value, memory_order_release)

// Two writers of one place, or one that has interrupted the other: it is left
// to the first.
static bool begin(atomic_uint *turn)
{
    unsigned now = LOAD(*turn);
    return !(now & 1)
        && atomic_compare_exchange_strong(turn, &now, now + 1);
}

static void end(atomic_uint *turn)
{
    STORE(*turn, atomic_load_explicit(turn, memory_order_relaxed) + 1);
}

// The place of a row to write to: one that has never been, or the next in turn.
// Places begin with their turns.
static unsigned choose(const void *row, size_t size)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (!LOAD(*(const atomic_uint *)((const char *)row + i * size)))
            return i;
    return atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % PLACES;
}

static void write_place(const struct recall *recall, const e64_symbol *symbol,
                        const struct elf_object *object, unsigned what,
                        uint64_t address)
{
    struct place *row = places[row_of(recall) % ROWS];
    struct place *place = &row[choose(row, sizeof *row)];
    if (!begin(&place->turn))
        return;
    STORE(place->plugin, recall->plugin);
    STORE(place->hash, recall->hash);
    STORE(place->what, what);
    STORE(place->object, object);
    STORE(place->name, symbol->name);
    STORE(place->version, symbol->version);
    STORE(place->address, address);
    STORE(place->size, symbol->size);
    end(&place->turn);
}

void recall_found(const struct recall *recall, const e64_symbol *symbol,
                  const struct elf_object *object)
{
    write_place(recall, symbol, object, (unsigned)symbol->kind | DIRECT,
                (uintptr_t)symbol->address);
}

void recall_from(const struct recall *recall, const e64_symbol *symbol,
                 const struct elf_object *object, uint32_t index)
{
    write_place(recall, symbol, object, (unsigned)symbol->kind, index);
}

void recall_missing(const struct recall *recall)
{
    if (!recall->text) {
        write_place(recall, &(e64_symbol){ .name = NULL }, NULL, MISSING, 0);
        return;
    }
    if (!fits(recall))
        return;
    struct missing_place *row = missing[row_of(recall) % MISSING_ROWS];
    struct missing_place *place = &row[choose(row, sizeof *row)];
    if (!begin(&place->turn))
        return;
    STORE(place->plugin, recall->plugin);
    STORE(place->length, (unsigned)recall->length);
    for (size_t at = 0; at < recall->length; at += 8)
        STORE(place->words[at / 8], word_at(recall, at));
    end(&place->turn);
}
