// Plugins that the link editor has made of object files.

#ifndef RUN_OBJECTS_H
#define RUN_OBJECTS_H

#include "run.h"

// A file that a plugin is made of. Plugins that replace one another share it.
struct object_source {
    atomic_uint users;
    struct elf_file file;
};

struct jit_symfile; // jit.c

// What such a plugin has besides.
struct objects {
    struct object_source **sources; // as long as it is linked, or may be again
    uint32_t count;
    struct object_image image;      // its file is the plugin's
    e64_open_options options;       // with which it was opened
    struct jit_symfile *symfiles;
    // Of all its symbols, those too that nothing exports.
    struct elf_symbols statics;
};

// Is it an object file?
bool objects_are(struct view file);

// The file that a plugin is told by: its own, or the object that it is made of.
const struct elf_file *objects_file(const e64_plugin *plugin);

// Takes a file over, on failure too.
e64_status object_source_new(struct elf_file *file,
                             struct object_source **source);
struct object_source *object_source_retain(struct object_source *source);
void object_source_release(struct object_source *source);

// Makes the image of a plugin, which has no file yet. The sources are the
// plugin's, too, from then on (with `hold`, nobody else can change their
// bytes); so is, where there is but one, the identity of its file.
e64_status objects_link(e64_plugin *plugin, const char *name,
                        struct object_source *const *sources, uint32_t count,
                        const e64_open_options *options);
// The same of its file, which is an object.
e64_status objects_link_file(e64_plugin *plugin,
                             const e64_open_options *options);

// discover.c: the plugin that they become, which is new.
e64_status discover_objects(struct discovery *discovery, const char *name,
                            struct object_source *const *sources,
                            uint32_t count, bool isolated,
                            const struct elf_object **found);

// open.c: opens it.
e64_status open_objects(e64_runtime *runtime, const char *name,
                        struct object_source *const *objects, uint32_t count,
                        const e64_open_options *options, e64_plugin **plugin);

// All of it has been written: what only linking needs goes.
void objects_settle(e64_plugin *plugin);
// Of one that is unmapped, or never was mapped.
void objects_free(e64_plugin *plugin);

// -------------------------------------------------------- unexported.c ---

// Reads them from the image's file.
e64_status statics_read(e64_plugin *plugin);
// Of a plugin that is made of objects; NULL, which is none, of others.
const struct elf_symbols *statics_of(const e64_plugin *plugin);
// A symbol that nothing exports; false when there is none of that name.
bool statics_find(const struct elf_symbols *statics, const char *name,
                  uint32_t *index, Elf64_Sym *symbol);
// Calls `visit` with each of them that lies in the image, until it answers
// non-zero, which is returned.
int statics_each(const struct elf_symbols *statics,
                 int (*visit)(void *data, uint32_t index,
                              const Elf64_Sym *symbol), void *data);

// ---------------------------------------------------------------- jit.c ---

// What debuggers are to be told, made before it may fail no more.
e64_status jit_make(e64_plugin *plugin);
void jit_add(e64_plugin *plugin);
void jit_remove(e64_plugin *plugin);
void jit_before_fork(void);
void jit_after_fork(bool child);

#endif
