// The two functions of glibc by which unwinders, garbage collectors and
// sanitizers learn what is mapped: how we call them, and how the host's imports
// of them are pointed to ours.

#ifndef HOST_DETOUR_H
#define HOST_DETOUR_H

#include <dlfcn.h>
#include <link.h>

#include "host.h"

#ifndef DLFO_STRUCT_HAS_EH_DBASE
// As glibc has it since 2.35: an unwinder may bring the wish for it, where the
// headers that this is compiled with do not know it yet.
struct dl_find_object {
    unsigned long long dlfo_flags;
    void *dlfo_map_start, *dlfo_map_end;
    struct link_map *dlfo_link_map;
    void *dlfo_eh_frame;
    unsigned long long dlfo_reserved[7];
};
#endif

typedef int host_find_function(void *address, struct dl_find_object *result);
typedef int host_walk_callback(struct dl_phdr_info *info, size_t size,
                               void *data);
typedef int host_walk_function(host_walk_callback *callback, void *data);

enum host_import { HOST_FIND_OBJECT, HOST_ITERATE_PHDR, HOST_IMPORTS };
extern const char *const host_import_names[HOST_IMPORTS];

// ------------------------------------------------------- definition.c ---

// The host's own _dl_find_object, which is -1 where there is none: an unwinder
// that asks for it would not have been loaded. Safe in signal handlers.
int host_find_object(void *address, struct dl_find_object *result);

// The host's own dl_iterate_phdr, whatever our imports have been pointed to.
int host_iterate_phdr(host_walk_callback *callback, void *data);

// Finds the two. Must come before any import is pointed elsewhere.
void host_detour_resolve(const struct host_snapshot *snapshot);

// A copy of this loader that is asked by its _dl_find_object, for an address
// that nothing can ever lie at and glibc does not know, answers.
bool host_is_question(const void *address);
// Fills in the answer: what the host's own functions are, and `data`.
void host_answer(struct dl_find_object *result, void *data);
// Is that function a copy's? Gives the `data` of its answer.
bool host_ask_copy(host_find_function *function, void **data);

// Has whatever glibc opens from now on bind that function to `replacement`, by
// the symbol of the object that defines it, so that nothing which unwinds can
// come unseen. Leaves a definition for which `leave` answers true. Does nothing
// where nothing defines it; false where it cannot be done. `snapshot` must be
// held.
bool host_redefine(const struct host_snapshot *snapshot,
                   enum host_import import, void *replacement,
                   bool (*leave)(void *standing));

// ----------------------------------------------------------- detour.c ---

// Calls `visit` with each module of a snapshot, which must be held, but for
// those for which it need not be called again.
e64_status host_visit(const struct host_snapshot *snapshot,
                      e64_status (*visit)(void *data,
                                          const struct host_module *module),
                      void *data);
void host_visited(const struct host_snapshot *snapshot);

// Points a module's imports of that function to `replacement`, but for those
// for which `leave` answers true, and says how many it has. From within
// host_visit only.
e64_status host_redirect(const struct host_module *module,
                         enum host_import import, void *replacement,
                         bool (*leave)(void *standing), uint32_t *count);

// Does so again where another thread has overwritten what host_redirect wrote,
// because it was binding that very slot at the time. Costs next to nothing.
e64_status host_redirect_again(void);

// The functions by which an unwinder that asks nobody what is mapped has to be
// told; false for what is none or can be told otherwise. From within host_visit
// only.
struct host_registrar {
    void (*add)(const void *frames, void *object);
    void *(*remove)(const void *frames);
};
bool host_registrar(const struct host_module *module,
                    struct host_registrar *registrar);

#endif
