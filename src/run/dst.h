// Dynamic string tokens: $ORIGIN (gABI "Substitution Sequences"), and ld.so's
// $LIB and $PLATFORM, also written ${ORIGIN} and so on.

#ifndef RUN_DST_H
#define RUN_DST_H

#include "startup.h"
#include "text.h"

struct dst {
    const struct startup *startup;
    // The file in which the tokens stand. NULL: it has none, so that $ORIGIN
    // has no meaning.
    const char *path;
    bool executable; // they stand in the executable; `path` does not count
    const char *mark; // what '?' stands for; NULL: itself
};

// Adds what [from, from + size) means. Answers false, with `to` as it was, when
// a token has no meaning or may have none in a program that runs with another's
// rights: such a folder is left out of a search. Memory that runs out shows in
// `to`.
bool dst_expand(const struct dst *dst, const char *from, size_t size,
                struct text *to);

// Does a text hold a token that stands for something?
bool dst_in(const char *text);

#endif
