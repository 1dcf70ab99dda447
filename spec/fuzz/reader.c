// What is read of a file before anything is mapped, from bytes that nobody can
// trust: headers, notes, the dynamic section and its tables; then all that is
// asked of those tables later.

#include <stdint.h>
#include <stdlib.h>

#include "elf/go.h"
#include "elf/image.h"
#include "elf/notes.h"
#include "error.h"
#include "target.h"

// Tables that lie may name the same things again and again: that many are
// looked at, so that an input costs no more than a moment.
enum { MOST = 512 };

struct reading {
    const struct elf_image *image;
    unsigned count;
    uint64_t sum; // of all that was seen, so that it has to be looked at
};

static void find(struct reading *reading, const struct elf_name *name)
{
    static const enum elf_want wants[] = {
        ELF_WANT_ANY, ELF_WANT_DEFINED, ELF_WANT_DEFINED | ELF_WANT_NEWEST,
    };
    for (unsigned i = 0; i < sizeof wants / sizeof *wants; i++) {
        Elf64_Sym symbol;
        uint32_t index = elf_find(&reading->image->symbols, name, wants[i],
                                  &symbol);
        if (!index)
            continue;
        target_check(elf_exported(&symbol));
        target_check(strcmp(elf_string(&reading->image->symbols,
                                       symbol.st_name), name->text) == 0);
        reading->sum += index + symbol.st_value;
    }
}

static int look(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct reading *reading = data;
    const struct elf_symbols *symbols = &reading->image->symbols;
    const char *text = elf_string(symbols, symbol->st_name);
    struct elf_name name = elf_symbol_name(symbols, index, symbol);
    find(reading, &name);
    name = elf_name(text);
    find(reading, &name);
    const struct elf_version *version = elf_symbol_version(symbols, index);
    if (version) {
        const char *own = elf_string(symbols, version->name);
        name = elf_name_version(text, own);
        find(reading, &name);
        reading->sum += elf_defines_version(symbols, own, version->hash);
        reading->sum += strlen(elf_string(symbols, version->file));
    }
    return ++reading->count >= MOST;
}

static void use(const struct elf_image *image)
{
    static const char *const names[] = { "", "f", "main", "_init", "\xff" };
    struct reading reading = { .image = image };
    const struct elf_symbols *symbols = &image->symbols;
    elf_symbols_each(symbols, look, &reading);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct elf_name name = elf_name(names[i]);
        find(&reading, &name);
    }
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < MOST && elf_symbol(symbols, i, &symbol); i++)
        look(&reading, i, &symbol);
    for (uint32_t i = 0; i < image->needed_count && i < MOST; i++)
        reading.sum += strlen(elf_string(symbols, image->needed[i]));
    for (uint32_t i = 0; i < image->filter_count && i < MOST; i++)
        reading.sum += strlen(elf_string(symbols, image->filters[i].name));
    reading.sum += strlen(elf_string(symbols, image->soname))
                 + strlen(elf_string(symbols, image->rpath))
                 + strlen(elf_string(symbols, image->runpath))
                 + elf_is_go_plugin(symbols);
    target_use(reading.sum);
}

static bool visit_note(void *data, const Elf64_Nhdr *note, const uint8_t *name,
                       struct view description)
{
    uint64_t *sum = data;
    for (uint32_t i = 0; i < note->n_namesz; i++)
        *sum += name[i];
    for (uint64_t i = 0; i < description.size; i++)
        *sum += description.data[i];
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_image image;
    // A copy of just that size, so that a sanitizer sees what lies behind it.
    uint8_t *copy = malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    struct view file = { copy, size };
    if (elf_image_read(file, "fuzz", &image) == E64_OK) {
        use(&image);
        elf_image_free(&image);
    } else {
        target_check(error_pending()->message != NULL);
    }
    uint64_t sum = 0;
    elf_notes_each(file, size % 2 ? 8 : 4, visit_note, &sum);
    uint32_t levels = 0;
    elf_read_isa_levels(file, 8, &levels);
    target_use(sum + elf_isa_lacking_x86_64(levels) + elf_has_go_note(file, 4));
    free(copy);
    return 0;
}
