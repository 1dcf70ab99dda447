// One search while it runs. For search*.c only.

#ifndef RUN_SEARCH_STATE_H
#define RUN_SEARCH_STATE_H

#include "folders.h"
#include "search.h"

struct search {
    const struct search_request *request;
    const struct startup *startup;
    const char *name; // what is looked for: the request's name, or lib?.so
    struct elf_file *file;
    e64_status status; // of what ended the search
    struct text ended; // the file that did

    // Is a file that would be taken to be passed over? NULL: none is.
    bool (*suits)(void *data, const struct elf_file *file);
    void *suits_data;

    struct folders folders;
    struct text path; // scratch: the file that is tried
    const char *place; // which is looked through,
    const char *owner; // and whose it is
    struct text last; // the last file that was not there
    bool stale;       // the cache names one that is not there
    bool lenient;     // what is no regular file is passed over

    struct text reasons; // where it was looked for, in words
    struct text scopes;  // the same as places, each with a zero at its end
    size_t scope_count;

    struct text passed;       // what was passed over, in words
    struct text obstacle;     // the first file of that, and of which kind it is
    e64_status obstacle_kind; // E64_OK: nothing was passed over
    int obstacle_errno;
};

// Tries one file: the callback of folders_walk, whose data is the search.
// After TRIAL_END search->status says how it ended.
enum trial search_try(void *data, const char *path, bool there);

// Tells the request's probe.
void search_tell(const struct search *search, const char *path,
                 e64_status result);

// Remembers for the message a place that did not have it. What stands in
// `reason` before and after it is up to the caller.
void search_add_scope(struct search *search, const char *place, size_t size);
// Begins a new reason, with a comma when it is not the first.
void search_add_reason(struct search *search, const char *reason);
// "not in WHAT of WHO (/a, /b)"; `who` may be NULL.
void search_add_list(struct search *search, const char *what, const char *who,
                     const struct folder_list *list);

// ---------------------------------------------------------- search_near.c ---

enum { SEARCH_MOST_NEAR = 5 };

struct search_near {
    char *names[SEARCH_MOST_NEAR]; // the nearest first
    uint32_t far[SEARCH_MOST_NEAR];
    size_t count;
};

// Names of the cache, and paths of files in the folders that were looked
// through, that may have been meant. Those whose name proper is the wanted one,
// with another version, are the nearest.
void search_near(const struct search *search, struct search_near *near);
// The same in the folder of a path alone.
void search_near_path(const struct search *search, const char *path,
                      struct search_near *near);
void search_near_free(struct search_near *near);

// Where the file is though it does not count there, and what to do; false when
// it is nowhere.
bool search_advise(const struct search *search, struct text *advice);

// -------------------------------------------------------- search_report.c ---

// The failure of a search that found nothing.
e64_status search_fail(struct search *search);
// That of a path where no file is.
e64_status search_fail_path(const struct search *search, const char *path);

#endif
