// The folders in which a plugin's dlopen looks: those that search.c walks
// through. glibc's form has no place for ld.so.cache.

#include "serinfo.h"

#include <string.h>

#include "../error.h"
#include "folders.h"

struct listing {
    const struct startup *startup;
    struct folders folders;
    Dl_serinfo *info; // to be filled
    Dl_serinfo sizes; // what it takes
    char *strings;    // where the next path goes
    e64_status status;
};

static void add(struct listing *listing, const struct folder_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        // Without the '/' at its end, but for that of "/".
        const struct folder *folder = list->items[i];
        size_t size = folder->size > 1 ? folder->size - 1 : folder->size;
        const char *path = size ? folder->path : ".";
        size = size ? size : 1;
        uint32_t at = listing->sizes.dls_cnt++;
        listing->sizes.dls_size += size + 1;
        if (!listing->info)
            continue;
        if (at >= listing->info->dls_cnt
            || listing->sizes.dls_size > listing->info->dls_size) {
            listing->status = fail(E64_INVALID, "dlinfo: the struct was not "
                                   "measured by RTLD_DI_SERINFOSIZE");
            return;
        }
        listing->info->dls_serpath[at] = (Dl_serpath){ listing->strings, 0 };
        memcpy(listing->strings, path, size);
        listing->strings[size] = '\0';
        listing->strings += size + 1;
    }
}

// `path` is the file that the list stands in; NULL: the executable.
static void add_text(struct listing *listing, const char *text,
                     const char *separators, const char *path)
{
    const struct dst dst = { .startup = listing->startup, .path = path,
                             .executable = path == NULL };
    struct folder_list list = { 0 };
    if (!text || !*text || listing->status != E64_OK)
        return;
    listing->status = folders_split(&listing->folders, text, separators, &dst,
                                    &list);
    if (listing->status == E64_OK)
        add(listing, &list);
    folder_list_free(&list);
}

static void add_defaults(struct listing *listing)
{
    struct folder_list list = { 0 };
    if (listing->status != E64_OK)
        return;
    listing->status = folders_take(&listing->folders,
                                   listing->startup->ldso.defaults, &list);
    if (listing->status == E64_OK)
        add(listing, &list);
    folder_list_free(&list);
}

static const char *string_of(const e64_plugin *plugin, uint32_t offset)
{
    return offset ? elf_string(&plugin->unit.image.symbols, offset) : NULL;
}

static void add_all(struct listing *listing, const e64_plugin *plugin)
{
    const struct startup *startup = listing->startup;
    const struct elf_image *image = &plugin->unit.image;
    listing->sizes.dls_size = offsetof(Dl_serinfo, dls_serpath);
    if (!image->runpath) {
        for (const e64_plugin *at = plugin; at; at = at->loader)
            if (!at->unit.image.runpath)
                add_text(listing, string_of(at, at->unit.image.rpath), ":",
                         at->unit.object.name);
        if (!startup->runpath)
            add_text(listing, startup->rpath, ":", NULL);
    }
    add_text(listing, startup->library_path, ":;", NULL);
    add_text(listing, string_of(plugin, image->runpath), ":",
             plugin->unit.object.name);
    if (!(image->flags_1 & DF_1_NODEFLIB))
        add_defaults(listing);
}

e64_status serinfo_fill(const e64_plugin *plugin, Dl_serinfo *info,
                        bool count_only)
{
    struct listing listing = { .info = count_only ? NULL : info };
    e64_status status = startup_get(&listing.startup);
    if (status != E64_OK)
        return status;
    if (!count_only) {
        // The strings stand behind the array, whose length is known by now.
        listing.strings = (char *)&info->dls_serpath[info->dls_cnt];
        listing.sizes.dls_size = 0;
    }
    add_all(&listing, plugin);
    folders_free(&listing.folders);
    if (count_only && listing.status == E64_OK) {
        info->dls_cnt = listing.sizes.dls_cnt;
        info->dls_size = listing.sizes.dls_size
                       + listing.sizes.dls_cnt * sizeof(Dl_serpath);
    }
    return listing.status;
}
