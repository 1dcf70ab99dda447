// What lookups have come to, so that the same need not be looked for again.
//
// What a name stands for in the scope of a plugin does not change while the
// plugin is open. A table of the process keeps the latest answers; it has one
// size, needs no memory and no lock, and neither a reader nor a writer waits: a
// signal handler may be either. Plugins are told apart by their generation,
// which no two have: what has been closed is forgotten by itself.

#ifndef RUN_RECALL_H
#define RUN_RECALL_H

#include "run.h"

// What is asked for in a plugin: a name, or what one has put into a key.
struct recall {
    uint64_t plugin; // its generation
    uint64_t hash;
    const char *text; // NULL: a key, which `hash` is the number of
    size_t length;
};

// Makes a question. Keys have numbers below 2^63, which are not used again.
void recall_name(struct recall *recall, const e64_plugin *plugin,
                 const char *text);
void recall_key(struct recall *recall, const e64_plugin *plugin,
                uint64_t number);

enum recalled {
    RECALLED_NOT,
    RECALLED_FOUND,
    RECALLED_FROM,   // found; its address is to be asked for each time
    RECALLED_MISSING // the scope does not have it
};

// Fills *symbol with what was found; what follows with whose it is.
enum recalled recall(const struct recall *recall, e64_symbol *symbol,
                     const struct elf_object **object, uint32_t *index);

// To be told of what was looked for and found: by its address, which stays as
// it is, or by who defines it.
void recall_found(const struct recall *recall, const e64_symbol *symbol,
                  const struct elf_object *object);
void recall_from(const struct recall *recall, const e64_symbol *symbol,
                 const struct elf_object *object, uint32_t index);
void recall_missing(const struct recall *recall);

#endif
