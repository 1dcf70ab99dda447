// Names functions for perf: a line for each in /tmp/perf-PID.map, by which perf
// names addresses in memory that is no file's (tools/perf/Documentation/
// jit-interface.txt of the Linux sources).

#include "perf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "objects.h"

struct map_text {
    const e64_plugin *plugin;
    const struct elf_symbols *symbols; // that are gone through
    char *bytes; // NULL: to be measured
    size_t size, room;
};

static int add(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct map_text *text = data;
    (void)index;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || !symbol->st_size)
        return 0;
    int length = snprintf(text->bytes ? text->bytes + text->size : NULL,
                          text->bytes ? text->room - text->size : 0,
                          "%" PRIx64 " %" PRIx64 " %s\n",
                          elf_symbol_value(&text->plugin->unit.object, symbol),
                          (uint64_t)symbol->st_size,
                          elf_string(text->symbols, symbol->st_name));
    text->size += (size_t)length;
    return 0;
}

static void add_all(struct map_text *text)
{
    text->size = 0;
    text->symbols = text->plugin->unit.object.symbols;
    elf_symbols_each(text->symbols, add, text);
    text->symbols = statics_of(text->plugin);
    statics_each(text->symbols, add, text);
}

bool perf_cannot_read(const e64_plugin *plugin)
{
    return plugin->objects || !plugin->unit.file.identified;
}

// Others append as well: it is one write.
static e64_status append(const struct map_text *text)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
                          | O_NOFOLLOW, 0600);
    ssize_t got = file < 0 ? -1 : write(file, text->bytes, text->size);
    e64_status status = got < 0 ? fail_system("%s: cannot write", path)
                                : E64_OK;
    if (status != E64_OK)
        error_path(path);
    if (file >= 0)
        close(file);
    return status;
}

e64_status perf_tell(const e64_plugin *plugin)
{
    struct map_text text = { .plugin = plugin };
    if (plugin->host || !perf_cannot_read(plugin))
        return E64_OK;
    add_all(&text);
    text.room = text.size + 1;
    text.bytes = memory_resize(NULL, text.room);
    if (!text.bytes)
        return fail_memory(text.room);
    add_all(&text);
    e64_status status = text.size ? append(&text) : E64_OK;
    memory_free(text.bytes);
    return status;
}
