// Where a plugin comes from: the runtime's own path, then ld.so's order.

#ifndef RUN_SEARCH_H
#define RUN_SEARCH_H

#include <stdbool.h>

#include "../elf/file.h"

// On whose behalf a file is looked for. Fields that do not apply are NULL.
struct search_wanter {
    const char *path;    // its file, for $ORIGIN and messages; better absolute
    const char *rpath;   // DT_RPATH
    const char *runpath; // DT_RUNPATH; where there is one, no RPATH counts
    bool nodeflib;       // DF_1_NODEFLIB
    // What it was loaded for, whose DT_RPATH counts too; NULL at the root.
    const struct search_wanter *loader;
};

// The steps of a search.
enum search_place {
    SEARCH_PATH,        // the templates of the runtime
    SEARCH_RPATH,       // the wanter's, its loaders', the executable's
    SEARCH_ENVIRONMENT, // LD_LIBRARY_PATH as at process start
    SEARCH_RUNPATH,     // the wanter's
    SEARCH_CACHE,       // ld.so.cache
    SEARCH_DEFAULT,     // ld.so's own folders
    SEARCH_PLACES,
};

struct search_order {
    size_t count;
    enum search_place places[SEARCH_PLACES];
};

// One file that was tried.
struct search_probe {
    const char *path;
    const char *place; // "DT_RPATH", ..., or "the path" that was asked for
    const char *owner; // whose DT_RPATH or DT_RUNPATH; else NULL
    // E64_OK: taken; E64_NOTFOUND: not there; E64_DENIED: the cache names it,
    // but the wanter has DF_1_NODEFLIB; else why it was passed over or ended
    // the search.
    e64_status result;
};

struct search_request {
    // With a '/' it is the path of the file; else it is looked for. Without a
    // wanter "foo" means libfoo.so too, after all places had no "foo".
    const char *name;
    // NULL: the caller of e64_open. The executable's DT_RPATH, DT_RUNPATH and
    // DF_1_NODEFLIB count then, as they do for its calls of dlopen.
    const struct search_wanter *wanter;
    const char *path; // templates: "./plugins/?.so;$ORIGIN/?"; or NULL
    const char *refused; // why others have not found it, or NULL
    const struct search_order *order; // NULL: all places, as numbered above
    // Of several searches that are one for ld.so: whether it has been looked if
    // ld.so.cache has changed. NULL for one alone.
    bool *looked;
    // Told of each file that is tried, or that ld.so would try although its
    // folder does not exist. May be NULL.
    void (*probe)(void *data, const struct search_probe *probe);
    void *probe_data;
};

// Opens the first file that will do. Passed over are files that are not there,
// that may not be read, and ELF files of another class or machine. Anything
// else that is found is taken, so that its reader says what is wrong with it;
// an empty file, a directory or a FIFO ends the search as ld.so's ends, with
// elf_file_open's failure.
//
// When nothing will do: E64_NOTFOUND with where it was looked for (scopes) and
// names of the cache that are much alike (near); when something was passed over
// the kind of that: E64_BADFORMAT, E64_BADARCH or E64_SYSTEM.
e64_status search_open(const struct search_request *request,
                       struct elf_file *file);

// Looks past what does not suit: the path of the first file that does
// (memory_free), told to the request's probe as taken; or NULL, for whatever
// reason. The name has no '/'.
char *search_suiting(const struct search_request *request,
                     bool (*suits)(void *data, const struct elf_file *file),
                     void *data);

// One step alone, for scripts: the path of the file (memory_free), or
// E64_NOTFOUND with a message that says why not, for a list of such. A file
// that ends a search is an answer: opening it gives the failure. The name has
// no '/'.
e64_status search_in(enum search_place place,
                     const struct search_request *request, char **path);

#endif
