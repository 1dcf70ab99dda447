// Lists of folders such as "/opt/lib:$ORIGIN/lib", and walking through them as
// ld.so does.

#ifndef RUN_FOLDERS_H
#define RUN_FOLDERS_H

#include "dst.h"

struct folder {
    struct folder *next;
    // Bit n: whether the nth of what is tried below is known to be there or
    // missing.
    uint32_t known, missing;
    size_t size;
    char path[]; // ends in '/', or "" for the current folder
};

// Every folder that one search has met: one record each, so that one that does
// not exist is asked for once. Nothing is remembered from one search to the
// next.
struct folders {
    struct folder *all;
};

struct folder_list {
    struct folder **items;
    size_t count;
};

// What became of a file.
enum trial {
    TRIAL_NEXT, // not there or not for this machine: on with the next
    TRIAL_REST, // something is wrong: the rest of the list is passed over
    TRIAL_END,  // taken, or the search has failed
};

// Reads a list. Folders whose tokens have no meaning, relative ones in a secure
// program and repeated ones are left out. E64_NOMEMORY only.
e64_status folders_split(struct folders *folders, const char *list,
                         const char *separators, const struct dst *dst,
                         struct folder_list *result);

// The same from an array of folders that end in '/'.
e64_status folders_take(struct folders *folders, const char *const *paths,
                        struct folder_list *result);

// Calls `try` for the name in each folder and in what ld.so tries below it,
// until it answers something else than TRIAL_NEXT. `there` is false when the
// file cannot be there, because its folder is not: ld.so tries it none the
// less. `path` is scratch.
enum trial folders_walk(const struct folder_list *list, const char *name,
                        struct text *path,
                        enum trial (*try)(void *data, const char *path,
                                          bool there),
                        void *data);

void folder_list_free(struct folder_list *list);
void folders_free(struct folders *folders);

#endif
