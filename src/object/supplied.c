// What no object defines because a linker or a compiler's own files do.

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// One of the object files that come along.
static e64_status add_crt(struct edit *edit, uint32_t number)
{
    uint32_t start = crt_object_offsets[number];
    struct view file = { crt_objects + start,
                         crt_object_offsets[number + 1] - start };
    struct unit *unit;
    char *name = memory_copy("(what stands for crt and libc)");
    return name ? edit_add_unit(edit, file, name, true, &unit)
                : fail_memory(64);
}

e64_status edit_begin(struct edit *edit)
{
    return add_crt(edit, 0);
}

// What the linker itself knows: where parts of the image begin and end.
static const struct {
    const char *name;
    enum place place;
    enum chunk chunk;
} made[] = {
    { "_TLS_MODULE_BASE_", PLACE_START, CHUNK_TDATA },
    { "_GLOBAL_OFFSET_TABLE_", PLACE_START, CHUNK_GOT_PLT },
    { "_DYNAMIC", PLACE_START, CHUNK_DYNAMIC },
    { "__ehdr_start", PLACE_START, CHUNK_HEADERS },
    { "__GNU_EH_FRAME_HDR", PLACE_START, CHUNK_FRAME_INDEX },
    { "__etext", PLACE_END, CHUNK_TEXT },
    { "_etext", PLACE_END, CHUNK_TEXT },
    { "etext", PLACE_END, CHUNK_TEXT },
    { "_edata", PLACE_END, CHUNK_DATA },
    { "edata", PLACE_END, CHUNK_DATA },
    { "__bss_start", PLACE_START, CHUNK_BSS },
    { "_end", PLACE_END, CHUNK_LARGE_BSS },
    { "end", PLACE_END, CHUNK_LARGE_BSS },
};

static void make(struct symbol *symbol, enum place place, uint32_t which)
{
    symbol->place = (uint8_t)place;
    symbol->section = which;
    symbol->type = STT_NOTYPE;
    symbol->binding = STB_GLOBAL;
    symbol->visibility = STV_HIDDEN;
}

static void make_helpers(struct edit *edit)
{
    for (const struct helper *helper = libgcc_helpers; helper->name;
         helper++) {
        struct symbol *symbol = edit_find(edit, helper->name);
        if (!symbol || symbol->place != PLACE_NONE || !symbol->wanted)
            continue;
        make(symbol, PLACE_FIXED, 0);
        symbol->value = (uintptr_t)helper->address;
    }
}

static void make_known(struct edit *edit)
{
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        struct symbol *symbol = edit_find(edit, made[i].name);
        if (!symbol || symbol->place != PLACE_NONE)
            continue;
        make(symbol, made[i].place, made[i].chunk);
        if (made[i].chunk == CHUNK_TDATA)
            symbol->type = STT_TLS;
        edit->uses_got_base |= made[i].chunk == CHUNK_GOT_PLT;
    }
}

// __start_NAME and __stop_NAME, if an object asks for it.
static e64_status make_named(struct edit *edit, const char *prefix,
                             enum place place)
{
    for (uint32_t i = 0; i < edit->name_count; i++) {
        const char *text = edit_text(edit, prefix, edit->names[i].name);
        if (!text)
            return fail_memory(strlen(edit->names[i].name));
        struct symbol *symbol = edit_find(edit, text);
        if (symbol && symbol->place == PLACE_NONE)
            make(symbol, place, i);
    }
    return E64_OK;
}

// The first hidden name that nothing defines: others' definitions do not count
// for it. A weak one is 0.
static e64_status check_hidden(struct edit *edit)
{
    for (uint32_t i = 0; i < edit->bucket_count; i++) {
        for (struct symbol *symbol = edit->buckets[i]; symbol;
             symbol = symbol->next) {
            if (symbol->place != PLACE_NONE
                || symbol->visibility == STV_DEFAULT)
                continue;
            if (symbol->wanted) {
                fail(E64_UNDEFINED, "%s: '%s' is hidden, and none of the "
                     "objects defines it", edit->name, symbol->name);
                error_path(edit->name);
                error_symbol(symbol->name, NULL);
                return E64_UNDEFINED;
            }
            symbol->place = PLACE_FIXED;
            symbol->type = STT_NOTYPE;
        }
    }
    return E64_OK;
}

e64_status edit_supply(struct edit *edit)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && crt_functions[i]; i++) {
        const struct symbol *symbol = edit_find(edit, crt_functions[i]);
        if (symbol && symbol->place == PLACE_NONE)
            status = add_crt(edit, i + 1);
    }
    if (status != E64_OK)
        return status;
    make_known(edit);
    make_helpers(edit);
    status = make_named(edit, "__start_", PLACE_NAMED_START);
    if (status == E64_OK)
        status = make_named(edit, "__stop_", PLACE_NAMED_END);
    return status == E64_OK ? check_hidden(edit) : status;
}
