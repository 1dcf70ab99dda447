// The names that plugins get from us although the host defines them, because
// glibc's functions cannot know a plugin that they did not map. The list is
// closed: spec/conformance/design.lua holds the same names.

#include "overrides.h"

#include <string.h>

#include "../tls/tls.h"

const struct link_override override_table[] = {
    { "__tls_get_addr", (void *)tls_get_addr },
};

const uint32_t override_count = sizeof override_table / sizeof *override_table;

void *override_find(const char *name)
{
    for (uint32_t i = 0; i < override_count; i++)
        if (strcmp(override_table[i].name, name) == 0)
            return override_table[i].address;
    return NULL;
}
