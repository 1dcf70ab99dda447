// Why a plugin is mapped: what its search came upon, kept with it.

#ifndef RUN_WHY_H
#define RUN_WHY_H

#include "search.h"
#include "text.h"

// Made while a name is looked for, then the plugin's. Of what memory lacked for
// there is none.
struct why {
    struct text probes; // why.c
    bool asked;         // the search hook answered
    char *wanter;       // the path of who needed it, or NULL
};

// The callback of a search: `data` is a struct why.
void why_probe(void *data, const struct search_probe *probe);
void why_free(struct why *why);
// Where the search has found what it took, and whose place that is ("" when it
// is nobody's); false when it was not searched for.
bool why_found(const struct why *why, const char **place, const char **owner);

#endif
