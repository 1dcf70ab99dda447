// Keeps the loader itself mapped.

#include <link.h>

#include "glibc.h"
#include "host.h"

static void pin(void)
{
    Dl_info info;
    struct link_map *map = NULL;
    // An executable, whose name is empty, stays anyway.
    if (glibc_dladdr1((const void *)pin, &info, (void **)&map,
                      RTLD_DL_LINKMAP)
        && map && map->l_name[0]
        && !glibc_dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
        glibc_dlerror();
}

void host_pin_loader(void)
{
    // Two threads may both do it: one that waited for the other might have
    // glibc's lock.
    static atomic_bool pinned;
    if (!atomic_load(&pinned))
        pin();
    atomic_store(&pinned, true);
}
