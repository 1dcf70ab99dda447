// What may have been meant by a name that was not found, and what would let it
// be found.

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory.h"
#include "cachefile.h"
#include "search_state.h"
#include "spelling.h"

enum {
    MOST_ENTRIES = 1 << 15, // of folders that are looked through
    MOST_FILES = 64,        // that would be tried where they do not count
};

struct nearing {
    const struct search *search;
    const char *wanted; // the name that files are compared with
    const char *stem;   // its name proper: "audio" of "libaudio.so.2"
    size_t stem_size;
    bool numbered;      // it ends in ".so.2" or the like
    const char *folder; // that is being read, with a '/' at its end; or NULL
    uint32_t left;      // entries that may still be read
    struct search_near *near;
};

// Where the name proper of "libNAME.so.1" begins, and its size.
static const char *stem_of(const char *name, size_t *size)
{
    const char *start = strncmp(name, "lib", 3) == 0 ? name + 3 : name;
    const char *suffix = strstr(start, ".so");
    *size = suffix ? (size_t)(suffix - start) : strlen(start);
    return start;
}

static void want(struct nearing *nearing, const char *name)
{
    nearing->wanted = name;
    nearing->stem = stem_of(name, &nearing->stem_size);
    nearing->numbered = strstr(name, ".so.") != NULL;
}

// A cache names what may lie in a folder, too.
static bool is_known(const struct search_near *near, const char *name)
{
    for (size_t i = 0; i < near->count; i++)
        if (strcmp(text_base(near->names[i]), name) == 0)
            return true;
    return false;
}

// The nearest first, and of those the first in the alphabet.
static void keep(struct search_near *near, char *name, uint32_t far)
{
    size_t at = near->count;
    while (at > 0 && (near->far[at - 1] > far
                      || (near->far[at - 1] == far
                          && strcmp(near->names[at - 1], name) > 0)))
        at--;
    if (at == SEARCH_MOST_NEAR) {
        memory_free(name);
        return;
    }
    if (near->count == SEARCH_MOST_NEAR)
        memory_free(near->names[--near->count]);
    for (size_t i = near->count++; i > at; i--) {
        near->names[i] = near->names[i - 1];
        near->far[i] = near->far[i - 1];
    }
    near->names[at] = name;
    near->far[at] = far;
}

static void consider(struct nearing *nearing, const char *name)
{
    size_t size;
    uint32_t far = 0;
    const char *stem = stem_of(name, &size);
    bool same = size == nearing->stem_size
             && memcmp(stem, nearing->stem, size) == 0;
    if (strcmp(name, nearing->wanted) == 0 || !strstr(name, ".so")
        || (!same && !spelling_near(nearing->stem, nearing->stem_size, stem,
                                    size, &far))
        // Of few letters one is too many.
        || 3 * far > nearing->stem_size || is_known(nearing->near, name))
        return;
    struct text path = { 0 };
    text_add(&path, nearing->folder ? nearing->folder : "");
    text_add(&path, name);
    if (path.failed)
        text_free(&path);
    else
        // Who names a version means a file that has one.
        keep(nearing->near, path.data,
             2 * far + (nearing->numbered != (strstr(name, ".so.") != NULL)));
}

static bool consider_entry(void *data, const char *name, const char *path)
{
    (void)path;
    consider(data, name);
    return true;
}

static void use_cache(void *data, struct view cache)
{
    struct nearing *nearing = data;
    elf_cache_each(cache, &nearing->search->startup->ldso.machine,
                   consider_entry, nearing);
}

// Is there a folder of that name, which ends in '/'?
static bool read_folder(struct nearing *nearing, const char *folder)
{
    DIR *open = opendir(*folder ? folder : "./");
    if (!open)
        return false;
    nearing->folder = folder;
    struct dirent *entry;
    while (nearing->left > 0 && (entry = readdir(open))) {
        nearing->left--;
        consider(nearing, entry->d_name);
    }
    closedir(open);
    return true;
}

// A place is a folder, or the path of a file that a template has made of the
// name.
static void read_place(struct nearing *nearing, const char *place)
{
    struct text folder = { 0 };
    text_add(&folder, place);
    text_add(&folder, strcmp(place, "/") == 0 ? "" : "/");
    if (!folder.failed && !read_folder(nearing, folder.data)) {
        const char *before = nearing->wanted;
        text_cut(&folder, (size_t)(text_base(place) - place));
        want(nearing, text_base(place));
        read_folder(nearing, folder.data);
        want(nearing, before);
    }
    text_free(&folder);
}

static struct nearing begin(const struct search *search,
                            struct search_near *near)
{
    struct nearing nearing = { .search = search, .left = MOST_ENTRIES,
                               .near = near };
    want(&nearing, search->name);
    return nearing;
}

// What lies in ld.so's own folders is named by the cache, which is no folder.
static bool is_named(const struct search *search, const char *place)
{
    const char *const *folder = search->startup->ldso.defaults;
    if (strcmp(place, search->startup->ldso.cache_path) == 0)
        return true;
    size_t size = strlen(place);
    while (*folder && (strncmp(place, *folder, size) != 0
                       || strcmp(*folder + size, "/") != 0))
        folder++;
    return *folder != NULL;
}

void search_near(const struct search *search, struct search_near *near)
{
    struct nearing nearing = begin(search, near);
    cachefile_use(&search->startup->ldso, NULL, use_cache, &nearing);
    if (search->startup->secure || search->scopes.failed)
        return;
    const char *place = text_get(&search->scopes);
    for (size_t i = 0; i < search->scope_count;
         i++, place += strlen(place) + 1)
        if (!is_named(search, place))
            read_place(&nearing, place);
}

void search_near_path(const struct search *search, const char *path,
                      struct search_near *near)
{
    struct nearing nearing = begin(search, near);
    if (!search->startup->secure)
        read_place(&nearing, path);
}

void search_near_free(struct search_near *near)
{
    while (near->count > 0)
        memory_free(near->names[--near->count]);
}

// ------------------------------------------------- where it does not count ---

// The file of that name in one of the folders, if it is there.
static bool find_in(const struct search *search, const struct dst *dst,
                    const char *folders, struct text *path)
{
    struct folders all = { NULL };
    struct folder_list list = { 0 };
    bool found = false;
    if (folders && folders_split(&all, folders, ":", dst, &list) == E64_OK) {
        for (size_t i = 0; i < list.count && i < MOST_FILES && !found; i++) {
            text_cut(path, 0);
            text_add_bytes(path, list.items[i]->path, list.items[i]->size);
            text_add(path, search->name);
            found = !path->failed && access(path->data, F_OK) == 0;
        }
    }
    folder_list_free(&list);
    folders_free(&all);
    return found;
}

// DT_RUNPATH counts for what its own file needs alone, and where there is one
// the DT_RPATH of those for which that was loaded does not count.
static bool advise_inherited(const struct search *search, struct text *advice)
{
    const struct search_wanter *wanter = search->request->wanter;
    struct text path = { 0 };
    bool found = false;
    const struct search_wanter *loader = wanter ? wanter->loader : NULL;
    for (; loader && !found; loader = loader->loader) {
        const char *folders = loader->runpath ? loader->runpath : loader->rpath;
        struct dst dst = { .startup = search->startup, .path = loader->path };
        found = find_in(search, &dst, folders, &path);
        if (found)
            text_format(advice, "%s is there by %s of %s, which does not count "
                        "for what %s needs: link %s with a -rpath of its own",
                        path.data, loader->runpath ? "DT_RUNPATH" : "DT_RPATH",
                        loader->path, text_base(wanter->path),
                        text_base(wanter->path));
    }
    const struct startup *startup = search->startup;
    if (wanter && !found && startup->runpath) {
        struct dst dst = { .startup = startup, .executable = true };
        found = find_in(search, &dst, startup->runpath, &path);
        if (found)
            text_format(advice, "%s is there by DT_RUNPATH of the executable, "
                        "which does not count for what %s needs: link %s "
                        "with a -rpath of its own", path.data,
                        text_base(wanter->path), text_base(wanter->path));
    }
    text_free(&path);
    return found;
}

// A template that is written as a folder's name or as a list with ':' is a
// path like others, where no file is.
static bool advise_template(const struct search *search, const char *template,
                            size_t size, struct text *advice)
{
    const struct search_wanter *wanter = search->request->wanter;
    const struct dst dst = { .startup = search->startup,
                             .path = wanter ? wanter->path : NULL,
                             .executable = !wanter };
    const char *colon = memchr(template, ':', size);
    const char *mark = memchr(template, '?', size);
    if (colon && (mark && mark < colon)
                 == (memchr(colon, '?', size - (size_t)(colon - template))
                     != NULL)) {
        text_format(advice, "'%.*s' is one template: divide several by "
                    "semicolons", (int)size, template);
        return true;
    }
    struct text folder = { 0 };
    struct stat stat_of;
    bool found = !mark && size > 0
              && dst_expand(&dst, template, size, &folder) && !folder.failed
              && stat(folder.data, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
    text_free(&folder);
    if (found)
        text_format(advice, "'%.*s' has no '?': did you mean %.*s%s?%s",
                    (int)size, template, (int)size, template,
                    template[size - 1] == '/' ? "" : "/",
                    strstr(search->name, ".so") ? "" : ".so");
    return found;
}

static bool advise_path(const struct search *search, struct text *advice)
{
    const char *at = search->request->path;
    while (at && *at) {
        size_t size = strcspn(at, ";");
        if (advise_template(search, at, size, advice))
            return true;
        at += size + (at[size] == ';');
    }
    return false;
}

// What a wanter needs is often built beside it, where ld.so looks when told to.
static bool advise_beside(const struct search *search, struct text *advice)
{
    const char *wanter = search->request->wanter->path;
    struct text path = { 0 };
    const char *base = wanter ? text_base(wanter) : NULL;
    bool found = false;
    if (base > wanter) {
        text_add_bytes(&path, wanter, (size_t)(base - wanter));
        text_add(&path, search->name);
        found = !path.failed && access(path.data, F_OK) == 0;
    }
    if (found)
        text_format(advice, "%s is there, beside %s: link %s with "
                    "-Wl,-rpath,'$ORIGIN', or name %.*s? in the runtime's path",
                    path.data, base, base, (int)(base - wanter), wanter);
    text_free(&path);
    return found;
}

// Who opens a file by its name alone means one that lies here.
static bool advise_here(const struct search *search, struct text *advice)
{
    const char *name = search->request->name;
    struct text library = { 0 };
    bool found = access(name, F_OK) == 0;
    if (!found && !strstr(name, ".so")) {
        text_format(&library, "lib%s.so", name);
        found = !library.failed && access(library.data, F_OK) == 0;
    }
    if (found)
        text_format(advice, "the current folder is not looked through: to take "
                    "the file in it, open ./%s",
                    library.size ? library.data : name);
    text_free(&library);
    return found;
}

bool search_advise(const struct search *search, struct text *advice)
{
    if (search->startup->secure)
        return false;
    if (advise_path(search, advice))
        return true;
    if (!search->request->wanter)
        return advise_here(search, advice);
    return advise_inherited(search, advice) || advise_beside(search, advice);
}
