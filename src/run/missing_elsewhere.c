// A version that a file does not define, in another file of that name: the
// first one that a search finds is the one, as under ld.so, but the message
// says where a better one lies.

#include "missing.h"

#include "../elf/image.h"
#include "../memory.h"
#include "provide.h"

struct elsewhere {
    const char *name; // of the version
    uint32_t hash;
    struct text place; // where it was found
};

static bool defines(void *data, const struct elf_file *file)
{
    const struct elsewhere *wanted = data;
    struct elf_image image;
    bool found = elf_image_read(file->view, file->name, &image) == E64_OK
              && elf_defines_version(&image.symbols, wanted->name,
                                     wanted->hash);
    elf_image_free(&image);
    return found;
}

static void note_place(void *data, const struct search_probe *probe)
{
    struct elsewhere *wanted = data;
    if (probe->result == E64_OK)
        text_format(&wanted->place, " (by %s%s%s)", probe->place,
                    probe->owner ? " of " : "",
                    probe->owner ? probe->owner : "");
}

// Was it the policy that has chosen the file?
static bool is_chosen(const struct discovery *discovery,
                      const e64_plugin *wanter, const char *file,
                      const struct elf_object *object)
{
    const e64_plugin *plugin = plugin_of(object);
    return provide_rule(discovery, wanter, file)
        || (plugin && plugin->why.asked);
}

bool missing_add_elsewhere(const struct missing_version *missing,
                           const struct discovery *discovery,
                           struct text *text)
{
    const e64_plugin *wanter = plugin_of(&missing->unit->object);
    const struct elf_symbols *symbols = missing->unit->object.symbols;
    const struct elf_version *version = &symbols->versions[missing->version];
    const char *file = elf_string(symbols, version->file);
    struct elsewhere wanted = { elf_string(symbols, version->name),
                                version->hash, { 0 } };
    struct search_wanter chain[DISCOVER_LOADERS];
    char *templates;
    if (is_chosen(discovery, wanter, file, missing->object)
        || runtime_path(discovery->runtime, &templates) != E64_OK)
        return false;
    const struct search_request request = {
        .name = file,
        .wanter = discover_wanters(wanter, chain),
        .path = templates,
        .probe = note_place,
        .probe_data = &wanted,
    };
    char *path = search_suiting(&request, defines, &wanted);
    memory_free(templates);
    bool found = path && !wanted.place.failed;
    if (found)
        text_format(text, "%s%s", path, text_get(&wanted.place));
    text_free(&wanted.place);
    memory_free(path);
    return found;
}
