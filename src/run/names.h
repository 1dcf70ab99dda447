// Sets of names and globs, compiled: however many there are, asking costs about
// as much as hashing the name.
//
// In a glob `*` stands for any characters, `?` for one, [a-z] for one of those
// and [!a-z] for one that is not; a backslash takes its meaning from what
// follows.

#ifndef RUN_NAMES_H
#define RUN_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "../elf64load.h"

struct name_set;

// Copies `count` patterns, which may be globs unless they are `literal`.
// E64_INVALID for one that is malformed.
e64_status names_make(const char *const *patterns, uint32_t count,
                      bool literal, struct name_set **made);
void names_free(struct name_set *set);

// The place of a pattern that the name matches, plus one, or 0. The name itself
// comes before globs, and of these the first that was given.
uint32_t names_find(const struct name_set *set, const char *name);

// The pattern at a place.
const char *names_pattern(const struct name_set *set, uint32_t place);

// Does a glob match all of a text? In a path `*`, `?` and sets stand for no
// slash; `**` does.
bool glob_match(const char *glob, const char *text, bool path);

// Why a glob is malformed, or NULL.
const char *glob_fault(const char *glob);

#endif
