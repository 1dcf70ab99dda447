#include "asking.h"

static int take_reason(void *data, const e64_reason *reason)
{
    (void)data;
    return !reason->message;
}

static int take_binding(void *data, const e64_binding *binding)
{
    (void)data;
    return !binding->message || !binding->others;
}

e64_status asking_why(e64_plugin *plugin)
{
    return e64_why(plugin, take_reason, NULL)
        || e64_bindings(plugin, NULL, take_binding, NULL)
        || e64_bindings(plugin, "malloc", take_binding, NULL)
         ? E64_INVALID : E64_OK;
}
