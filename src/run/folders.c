// Lists of folders, and walking through them.

#include "folders.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../error.h"
#include "../limit.h"
#include "../memory.h"

// The record of a folder, made when it is new; NULL when memory runs out.
static struct folder *enter(struct folders *folders, const char *path,
                            size_t size)
{
    for (struct folder *at = folders->all; at; at = at->next)
        if (at->size == size && memcmp(at->path, path, size) == 0)
            return at;
    struct folder *made = memory_new(sizeof *made + size + 1);
    if (!made)
        return NULL;
    memcpy(made->path, path, size);
    made->size = size;
    made->next = folders->all;
    folders->all = made;
    return made;
}

static void append(struct folder_list *list, struct folder *folder)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == folder)
            return;
    list->items[list->count++] = folder;
}

// Writes one element of a list as folders are recorded: expanded, with one '/'
// at its end. False when it is to be left out.
static bool spell(const struct dst *dst, const char *from, size_t size,
                  struct text *to)
{
    text_cut(to, 0);
    if (!dst_expand(dst, from, size, to) || (size > 0 && to->size == 0))
        return false;
    size_t end = to->size;
    while (end > 1 && to->data[end - 1] == '/')
        end--;
    text_cut(to, end);
    if (end > 0 && to->data[end - 1] != '/')
        text_add(to, "/");
    return startup_allows(dst->startup, text_get(to));
}

e64_status folders_split(struct folders *folders, const char *list,
                         const char *separators, const struct dst *dst,
                         struct folder_list *result)
{
    size_t most = 1;
    for (const char *at = list; *at; at++)
        most += strchr(separators, *at) != NULL;
    *result = (struct folder_list){ memory_array(most, sizeof(void *)), 0 };
    struct text text = { 0 };
    bool failed = !result->items;
    while (!failed) {
        size_t size = strcspn(list, separators);
        if (spell(dst, list, size, &text)) {
            struct folder *folder = enter(folders, text_get(&text), text.size);
            if (folder)
                append(result, folder);
            else
                failed = true;
        }
        failed = failed || text.failed;
        if (!list[size])
            break;
        list += size + 1;
    }
    text_free(&text);
    return failed ? fail_memory(most * sizeof(void *)) : E64_OK;
}

e64_status folders_take(struct folders *folders, const char *const *paths,
                        struct folder_list *result)
{
    size_t count = 0;
    while (paths[count])
        count++;
    *result = (struct folder_list){ memory_array(count, sizeof(void *)), 0 };
    if (!result->items)
        return fail_memory(count * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        struct folder *folder = enter(folders, paths[i], strlen(paths[i]));
        if (!folder)
            return fail_memory(sizeof *folder);
        append(result, folder);
    }
    return E64_OK;
}

// Whether it may be one: where that cannot be found out, opening what is in it
// will tell.
static bool is_folder(const char *path)
{
    struct stat stat_;
    if (stat(path, &stat_) == 0)
        return S_ISDIR(stat_.st_mode);
    return limit_is_passing(errno);
}

// Below one folder: three system calls tell most often that there is nothing
// of glibc-hwcaps, tls and the like, where ld.so makes two for each of them.
struct walk {
    struct folder *folder;
    const struct ldso_processor *processor;
    struct text *path;
    bool there;        // is the folder itself?
    const char *group; // the first component below it that was asked for
    size_t group_size;
    bool group_there;
};

// Leaves the path of processor->below[i] in walk->path, and says whether it may
// be there.
static bool enter_below(struct walk *walk, uint32_t i)
{
    const char *below = walk->processor->below[i];
    text_cut(walk->path, 0);
    text_add_bytes(walk->path, walk->folder->path, walk->folder->size);
    size_t size = strcspn(below, "/");
    bool there = walk->there;
    if (there && size > 0 && walk->folder->path[0] == '/') {
        if (!walk->group || walk->group_size != size
            || memcmp(walk->group, below, size) != 0) {
            size_t before = walk->path->size;
            text_add_bytes(walk->path, below, size);
            walk->group = below;
            walk->group_size = size;
            walk->group_there = is_folder(text_get(walk->path));
            text_cut(walk->path, before);
        }
        there = walk->group_there;
    }
    text_add(walk->path, below);
    return there;
}

static enum trial walk_one(struct walk *walk, const char *name,
                           enum trial (*try)(void *data, const char *path,
                                             bool there),
                           void *data)
{
    struct folder *folder = walk->folder;
    uint32_t count = walk->processor->below_count;
    // What is there now may be somewhere else when the current folder changes.
    bool relative = folder->path[0] != '/';
    enum trial trial = TRIAL_NEXT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bit = (uint32_t)1 << i;
        if (folder->missing & bit)
            continue;
        bool there = enter_below(walk, i);
        size_t end = walk->path->size;
        text_add(walk->path, name);
        if (walk->path->failed)
            return TRIAL_END;
        trial = try(data, walk->path->data, there);
        if (trial == TRIAL_END)
            return trial;
        if (!relative && !(folder->known & bit)) {
            text_cut(walk->path, end);
            folder->known |= bit;
            if (!there || !is_folder(walk->path->data))
                folder->missing |= bit;
        }
    }
    bool any = relative || (folder->known & ~folder->missing);
    return any ? trial : TRIAL_NEXT;
}

enum trial folders_walk(const struct folder_list *list, const char *name,
                        struct text *path,
                        enum trial (*try)(void *data, const char *path,
                                          bool there),
                        void *data)
{
    if (!list->count)
        return TRIAL_NEXT;
    const struct ldso_processor *processor = ldso_processor();
    uint32_t itself = (uint32_t)1 << (processor->below_count - 1);
    for (size_t i = 0; i < list->count; i++) {
        struct folder *folder = list->items[i];
        struct walk walk = { .folder = folder, .processor = processor,
                             .path = path };
        if (folder->path[0] != '/')
            walk.there = true;
        else if (folder->known & itself)
            walk.there = !(folder->missing & itself);
        else
            walk.there = is_folder(folder->path);
        enum trial trial = walk_one(&walk, name, try, data);
        if (trial != TRIAL_NEXT)
            return trial;
    }
    return TRIAL_NEXT;
}

void folder_list_free(struct folder_list *list)
{
    memory_free(list->items);
    *list = (struct folder_list){ 0 };
}

void folders_free(struct folders *folders)
{
    while (folders->all) {
        struct folder *next = folders->all->next;
        memory_free(folders->all);
        folders->all = next;
    }
}
