// dlinfo, as plugins see it.

#include "dl.h"

#include <string.h>

#include "../error.h"
#include "../host/forward.h"
#include "../tls/tls.h"
#include "dst.h"
#include "handle.h"
#include "serinfo.h"

// The folder that $ORIGIN stands for. The answer's size is the caller's affair,
// who is told of no limit.
static e64_status origin(const e64_plugin *plugin, char *answer)
{
    struct dst dst = { .path = plugin->unit.object.name };
    struct text text = { 0 };
    e64_status status = startup_get(&dst.startup);
    if (status != E64_OK)
        return status;
    if (!dst_expand(&dst, "$ORIGIN", strlen("$ORIGIN"), &text))
        status = fail(E64_NOTFOUND, "%s: its folder is not known", dst.path);
    else if (text.failed)
        status = fail_memory(text.size);
    else
        strcpy(answer, text_get(&text));
    text_free(&text);
    return status;
}

static int answer_plugin(e64_plugin *plugin, int request, void *answer)
{
    const struct elf_image *image = &plugin->unit.image;
    const struct elf_object *object = &plugin->unit.object;
    e64_status status = E64_OK;
    int result = 0;
    switch (request) {
    case RTLD_DI_LMID:
        *(Lmid_t *)answer = LM_ID_BASE;
        break;
    case RTLD_DI_LINKMAP:
        *(struct link_map **)answer = &plugin->map;
        break;
    case RTLD_DI_ORIGIN:
        status = origin(plugin, answer);
        break;
    case RTLD_DI_SERINFOSIZE:
    case RTLD_DI_SERINFO:
        status = serinfo_fill(plugin, answer, request == RTLD_DI_SERINFOSIZE);
        break;
    case RTLD_DI_TLS_MODID:
        *(size_t *)answer = object->tls_module;
        break;
    case RTLD_DI_TLS_DATA:
        *(void **)answer = object->tls_module
                         ? tls_find_block(object->tls_module) : NULL;
        break;
    case RTLD_DI_PHDR:
        *(const Elf64_Phdr **)answer
            = (const Elf64_Phdr *)(object->bias + image->headers.vaddr);
        result = (int)image->header_count;
        break;
    default:
        status = fail(E64_UNSUPPORTED, "unsupported dlinfo request");
    }
    if (status != E64_OK) {
        dl_failed("%s", error_pending()->message);
        return -1;
    }
    dl_succeeded();
    return result;
}

// What the host has: the executable and all that glibc gave no handle for.
static int answer_host(const e64_plugin *plugin, int request, void *answer)
{
    void *handle = host_glibc()->dlopen(plugin->process ? NULL
                                       : plugin->unit.object.name,
                                       RTLD_LAZY | RTLD_NOLOAD);
    dl_passed();
    return handle ? host_glibc()->dlinfo(handle, request, answer) : -1;
}

int dl_info(void *handle, int request, void *answer, e64_plugin *caller)
{
    e64_plugin *plugin = handle ? handle_plugin(handle) : NULL;
    (void)caller;
    if (!plugin) {
        dl_passed();
        return host_glibc()->dlinfo(handle, request, answer);
    }
    return plugin->process || plugin->host
         ? answer_host(plugin, request, answer)
         : answer_plugin(plugin, request, answer);
}
