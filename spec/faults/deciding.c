#include "deciding.h"

#include <stdlib.h>
#include <string.h>

static long leaf(void)
{
    return 20;
}

static e64_status accept(void *data, e64_runtime *runtime, e64_plugin *plugin,
                         e64_error *error)
{
    (void)runtime, (void)error;
    return data && e64_address(plugin, data) ? E64_DENIED : E64_OK;
}

static e64_status verify(void *data, e64_runtime *runtime,
                         const e64_image *image, e64_error *error)
{
    (void)data, (void)runtime, (void)error;
    return memcmp(image->bytes, "\177ELF", 4) == 0 ? E64_OK : E64_DENIED;
}

static e64_status order(void *data, e64_runtime *runtime,
                        e64_plugin **plugins, size_t count, e64_error *error)
{
    (void)data, (void)runtime, (void)plugins, (void)count, (void)error;
    return E64_OK;
}

static e64_status scope(void *data, e64_runtime *runtime, e64_plugin *plugin,
                        const e64_provider *providers, size_t count,
                        e64_scope *made, e64_error *error)
{
    e64_status status = E64_OK;
    (void)data, (void)runtime, (void)plugin;
    for (size_t i = 0; status == E64_OK && i < count; i++)
        status = e64_scope_add(made, &providers[i], error);
    return status;
}

static e64_status resolve(void *data, e64_runtime *runtime,
                          const e64_import *import, e64_symbol *symbol,
                          e64_error *error)
{
    (void)data, (void)runtime, (void)error;
    if (strcmp(import->name, "leaf") != 0)
        return E64_NOTFOUND;
    symbol->address = (void *)leaf;
    return E64_OK;
}

static void event(void *data, e64_runtime *runtime, const e64_event *told)
{
    (void)data, (void)runtime, (void)told;
}

const e64_runtime_options *deciding_all(void)
{
    static const char *const allow[] = { "*", "[a-z]*", "leaf", NULL };
    static const char *const deny[] = { "system", "exec*", NULL };
    static const e64_intercept intercept[] = {
        { .struct_size = sizeof *intercept, .name = "malloc",
          .address = (void *)malloc },
    };
    static const e64_rules rules = { .struct_size = sizeof rules,
        .allow = allow, .deny = deny, .intercept = intercept,
        .intercept_count = 1 };
    static const e64_override overrides[] = {
        { .struct_size = sizeof *overrides, .glob = "**/mods/*",
          .rules = &rules },
    };
    static const e64_runtime_options options = { .struct_size = sizeof options,
        .path = "./?.so;/nowhere/?.so", .accept = accept, .verify = verify,
        .order = order, .scope = scope, .resolve = resolve, .event = event,
        .rules = &rules, .overrides = overrides, .override_count = 1 };
    return &options;
}

const e64_runtime_options *deciding_refuse(void)
{
    static const e64_runtime_options options = { .struct_size = sizeof options,
        .accept = accept, .accept_data = "leaf", .event = event };
    return &options;
}

const e64_runtime_options *deciding_provide(void)
{
    static const e64_definition table = { .struct_size = sizeof table,
        .name = "leaf", .address = (void *)leaf, .kind = E64_KIND_FUNCTION };
    static const e64_provide provide = { .struct_size = sizeof provide,
        .name = "libfaults_leaf.so", .kind = E64_PROVIDE_TABLE,
        .definitions = &table, .definition_count = 1 };
    static const e64_rules rules = { .struct_size = sizeof rules,
        .provide = &provide, .provide_count = 1 };
    static const e64_runtime_options options = { .struct_size = sizeof options,
        .rules = &rules };
    return &options;
}

void deciding_ready(const struct scenario *scenario)
{
    const e64_definition one = { .struct_size = sizeof one, .name = "leaf",
        .address = (void *)leaf, .kind = E64_KIND_FUNCTION };
    (void)scenario;
    e64_define(scenario_runtime, &one, NULL);
}

e64_status deciding_define(const struct scenario *scenario, e64_error *error)
{
    const e64_definition all[] = {
        { sizeof *all, "first", NULL, (void *)leaf, 0, E64_KIND_FUNCTION, 1 },
        { sizeof *all, "second", "VERSION", (void *)leaf, 0, 0, 0 },
    };
    (void)scenario;
    return e64_define_all(scenario_runtime, all, 2, error);
}

void deciding_undefine(const struct scenario *scenario)
{
    (void)scenario;
    e64_undefine(scenario_runtime, "first", NULL, NULL);
    e64_undefine(scenario_runtime, "second", "VERSION", NULL);
}
