// Finds and reads what the policy provides in place of a library.

#include "provide.h"

#include "../error.h"

const struct provided *provide_rule(const struct discovery *discovery,
                                    const e64_plugin *wanter,
                                    const char *name)
{
    return provide_by_name(discovery->runtime,
                           wanter ? wanter : discovery->caller, name);
}

const struct provided *provide_by_name(const e64_runtime *runtime,
                                       const e64_plugin *wanter,
                                       const char *name)
{
    const struct policy *policy = runtime->policy;
    if (!policy)
        return NULL;
    if (wanter)
        return rules_provide(&wanter->rules, name);
    struct rules rules = policy_rules(policy, NULL, NULL);
    return rules_provide(&rules, name);
}

bool provide_is_made(const struct provided *rule)
{
    return rule && (rule->kind == E64_PROVIDE_SOURCE
                    || rule->kind == E64_PROVIDE_TABLE);
}

const char *provide_name(const struct provided *rule, const char *name)
{
    return rule && rule->kind == E64_PROVIDE_PATH ? rule->path : name;
}

static e64_plugin *find_registered(const e64_runtime *runtime,
                                   const struct provided *rule)
{
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        if (runtime->plugins[i]->provided == rule
            && !runtime->plugins[i]->gone)
            return runtime->plugins[i];
    return NULL;
}

bool provide_registered(const e64_runtime *runtime,
                        const struct provided *rule)
{
    return find_registered(runtime, rule) != NULL;
}

const struct elf_object *provide_open(struct discovery *discovery,
                                      const struct provided *rule,
                                      const char *name)
{
    e64_runtime *runtime = discovery->runtime;
    if (!rule || rule->kind == E64_PROVIDE_PATH)
        return discover_open(discovery, provide_name(rule, name));
    if (rule->kind == E64_PROVIDE_HOST) {
        struct host_module *module = host_find(discovery->snapshot, name);
        return module ? &module->object : NULL;
    }
    for (uint32_t i = 0; i < discovery->fresh_count; i++)
        if (discovery->fresh[i]->provided == rule)
            return &discovery->fresh[i]->unit.object;
    lock_take(&runtime->lock);
    e64_plugin *plugin = find_registered(runtime, rule);
    if (plugin)
        pinned_add(discovery, plugin);
    lock_give(&runtime->lock);
    return plugin ? &plugin->unit.object : NULL;
}

// Says of a failure of what stands for a library which one that is.
static e64_status blame(e64_status status, const char *name,
                        const e64_plugin *wanter)
{
    if (status != E64_OK)
        error_instead(name, "`provide` of the policy has",
                      wanter ? wanter->unit.object.name : NULL);
    return status;
}

static e64_status read_source(struct discovery *discovery,
                              const struct provided *rule, bool isolated,
                              const struct elf_object **found)
{
    discovery->trusted = rule->kind == E64_PROVIDE_TABLE;
    e64_status status = discover_source(discovery, &rule->source, isolated,
                                        found);
    discovery->trusted = false;
    // What was open as a file is known by that.
    e64_plugin *plugin = status == E64_OK ? plugin_of(*found) : NULL;
    if (plugin && !plugin->turn && !isolated) {
        plugin->provided = rule;
        // What is no file is for those alone for whom the policy says so.
        plugin->isolated = !plugin->unit.file.identified;
    }
    return status;
}

e64_status provide_find(struct discovery *discovery,
                        const struct provided *rule, const char *name,
                        e64_plugin *wanter, bool isolated,
                        const struct elf_object **found)
{
    if (rule->kind == E64_PROVIDE_PATH)
        return blame(discover_plain(discovery, rule->path, wanter, isolated,
                                    found), name, NULL);
    *found = isolated && rule->kind != E64_PROVIDE_HOST ? NULL
           : provide_open(discovery, rule, name);
    if (*found)
        return E64_OK;
    return rule->kind == E64_PROVIDE_HOST
         ? discover_by_glibc(discovery, name, wanter, found)
         : blame(read_source(discovery, rule, isolated, found), name,
                 wanter);
}
