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

// The host's own _dl_find_object, which is -1 where there is none: an unwinder
// that asks for it would not have been loaded. Safe in signal handlers.
int host_find_object(void *address, struct dl_find_object *result);

// The host's own dl_iterate_phdr, whatever our imports have been pointed to.
int host_iterate_phdr(host_walk_callback *callback, void *data);

// Finds the two. Must come before any import is pointed elsewhere.
void host_detour_resolve(const struct host_snapshot *snapshot);

// Calls `visit` with each module of a snapshot, which must be held.
e64_status host_visit(const struct host_snapshot *snapshot,
                      e64_status (*visit)(void *data,
                                          const struct host_module *module),
                      void *data);

enum host_import { HOST_FIND_OBJECT, HOST_ITERATE_PHDR };

// Points a module's imports of that function to `replacement`, but for those
// for which `leave` answers true, and says how many it has. From within
// host_visit only.
e64_status host_redirect(const struct host_module *module,
                         enum host_import import, void *replacement,
                         bool (*leave)(void *standing), uint32_t *count);

// Does so again where another thread has overwritten what host_redirect wrote,
// because it was binding that very slot at the time. Costs next to nothing.
e64_status host_redirect_again(void);

// Lets glibc open its unwinder, which it needs itself for pthread_cancel and
// backtrace, and keeps it. Where there is none, nobody unwinds; it fails where
// that could not be found out.
e64_status host_open_unwinder(void);

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
