// Which library of the host family, which nothing has opened yet, defines a
// symbol. Objects name no libraries, and those that compilers link without
// being asked (libstdc++, libm, libgcc_s) stand in no command: they are looked
// for in what ldconfig has found.

#include "missing.h"

#include <string.h>

#include "../elf/image.h"
#include "../memory.h"
#include "cachefile.h"
#include "startup.h"

enum { MOST_ENTRIES = 64 };

struct looking {
    const struct elf_cache_machine *machine;
    char *entries[MOST_ENTRIES]; // a name, a NUL, a path
    uint32_t count;
};

static bool note_entry(void *data, const char *name, const char *path)
{
    struct looking *looking = data;
    if (!host_is_family(name))
        return true;
    size_t name_size = strlen(name) + 1, path_size = strlen(path) + 1;
    char *entry = memory_resize(NULL, name_size + path_size);
    if (!entry)
        return false;
    memcpy(entry, name, name_size);
    memcpy(entry + name_size, path, path_size);
    looking->entries[looking->count++] = entry;
    return looking->count < MOST_ENTRIES;
}

static void note_entries(void *data, struct view cache)
{
    struct looking *looking = data;
    elf_cache_each(cache, looking->machine, note_entry, looking);
}

static bool defines(const struct elf_name *name, const char *path)
{
    struct elf_file file;
    struct elf_image image;
    Elf64_Sym symbol;
    if (elf_file_open_path(path, &file) != E64_OK)
        return false;
    bool found = elf_image_read(file.view, path, &image) == E64_OK
              && elf_find(&image.symbols, name, ELF_WANT_DEFINED, &symbol);
    elf_image_free(&image);
    elf_file_close(&file);
    return found;
}

char *missing_library(const struct elf_name *name)
{
    struct looking looking = { .count = 0 };
    const struct startup *startup;
    char *found = NULL;
    if (startup_get(&startup) != E64_OK)
        return NULL;
    looking.machine = &startup->ldso.machine;
    cachefile_use(&startup->ldso, NULL, note_entries, &looking);
    for (uint32_t i = 0; i < looking.count; i++) {
        const char *entry = looking.entries[i];
        if (!found && defines(name, entry + strlen(entry) + 1))
            found = memory_copy(entry);
        memory_free(looking.entries[i]);
    }
    return found;
}
