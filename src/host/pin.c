// Keeps the loader itself mapped.

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include "host.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void pin(void)
{
    Dl_info info;
    struct link_map *map = NULL;
    // An executable, whose name is empty, stays anyway.
    if (dladdr1((const void *)pin, &info, (void **)&map, RTLD_DL_LINKMAP)
        && map && map->l_name[0]
        && !dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
        dlerror();
}

void host_pin_loader(void)
{
    pthread_once(&once, pin);
}
