// A plan's bindings, taken over from the tables that resolving makes, and what
// they come to: clashes and what is missing.

#include "plan.h"

#include "../error.h"
#include "../memory.h"

static e64_status make_room(struct e64_plan *plan, size_t more)
{
    size_t need = plan->binding_count + more;
    if (need <= plan->binding_room)
        return E64_OK;
    size_t room = 2 * plan->binding_room > need ? 2 * plan->binding_room
                                                : need;
    e64_plan_binding *bindings = memory_resize(plan->bindings,
                                               room * sizeof *bindings);
    if (!bindings)
        return fail_memory(room * sizeof *bindings);
    plan->bindings = bindings;
    plan->binding_room = room;
    return E64_OK;
}

static const char *version_of(const struct elf_symbols *symbols,
                              uint32_t index, bool defined)
{
    const struct elf_version *version = elf_symbol_version(symbols, index);
    return version && !(defined && version->needed)
         ? elf_string(symbols, version->name) : NULL;
}

static e64_status know(struct e64_plan *plan, const struct elf_object *object,
                       uint32_t definition, const e64_plan_object **provider,
                       const char **version)
{
    struct plan_object *record;
    e64_status status = plan_know(plan, object, &record);
    if (status != E64_OK)
        return status;
    *provider = &record->shown;
    return plan_text(plan, version_of(object->symbols, definition, true),
                     version);
}

static bool is_vague(const Elf64_Sym *symbol)
{
    return ELF64_ST_BIND(symbol->st_info) == STB_WEAK
        || ELF64_ST_BIND(symbol->st_info) == STB_GNU_UNIQUE;
}

static e64_status take_provider(struct e64_plan *plan,
                                const struct link_binding *binding,
                                e64_plan_binding *made)
{
    Elf64_Sym symbol = { 0 };
    elf_symbol(binding->definer->symbols, binding->definition, &symbol);
    e64_status status = know(plan, binding->definer, binding->definition,
                             &made->provider, &made->provided);
    made->definition = binding->definition;
    made->kind = lookup_kind(binding->type);
    made->offset = symbol.st_value;
    made->absolute = symbol.st_shndx == SHN_ABS;
    made->unique = binding->unique;
    made->loader = binding->via == LINK_VIA_OVERRIDE;
    made->intercepted = binding->via == LINK_VIA_INTERCEPT;
    made->resolved = binding->via == LINK_VIA_HOOK;
    return status;
}

static e64_status take_runner_up(struct e64_plan *plan,
                                 const struct link_unit *unit,
                                 const struct link_scope *scope,
                                 const struct link_binding *binding,
                                 e64_plan_binding *made)
{
    const struct elf_object *object;
    Elf64_Sym first = { 0 }, second = { 0 };
    uint32_t definition;
    if (!link_runner_up(unit, scope, binding, &object, &definition))
        return E64_OK;
    elf_symbol(binding->definer->symbols, binding->definition, &first);
    elf_symbol(object->symbols, definition, &second);
    made->vague = is_vague(&first) && is_vague(&second);
    return know(plan, object, definition, &made->runner_up,
                &made->runner_up_version);
}

// Is it a reference to a symbol of the plugin's own that it does not define?
static bool is_nothing(const struct link_unit *unit,
                       const struct link_binding *binding,
                       const Elf64_Sym *symbol)
{
    return !binding->definer
        || (binding->definer == &unit->object && symbol->st_shndx == SHN_UNDEF
            && binding->definition == binding->symbol);
}

static e64_status take(const struct discovery *discovery,
                       const struct link_unit *unit,
                       const struct link_scope *scope,
                       const e64_plan_object *wanter,
                       const struct link_binding *binding)
{
    struct e64_plan *plan = discovery->plan;
    const struct elf_symbols *symbols = unit->object.symbols;
    e64_plan_binding *made = &plan->bindings[plan->binding_count];
    Elf64_Sym symbol = { 0 };
    elf_symbol(symbols, binding->symbol, &symbol);
    *made = (e64_plan_binding){
        .wanter = wanter,
        .index = binding->symbol,
        .weak = ELF64_ST_BIND(symbol.st_info) == STB_WEAK,
        .jump = binding->class == LINK_CLASS_DEFINED,
        .denied = binding->via == LINK_VIA_DENIED,
        .defined = binding->definer && binding->definer == discovery->defined,
    };
    e64_status status = plan_text(plan, elf_string(symbols, symbol.st_name),
                                  &made->symbol);
    if (status == E64_OK)
        status = plan_text(plan, version_of(symbols, binding->symbol, false),
                           &made->version);
    if (status == E64_OK && !is_nothing(unit, binding, &symbol)) {
        status = take_provider(plan, binding, made);
        if (status == E64_OK)
            status = take_runner_up(plan, unit, scope, binding, made);
    }
    plan->binding_count += status == E64_OK;
    return status;
}

struct fixing {
    struct e64_plan *plan;
    e64_status status;
    const struct elf_object *last;
};

// Thread-local storage that must lie at a fixed offset.
static void fix(void *data, const struct elf_object *definer)
{
    struct fixing *fixing = data;
    struct plan_object *record;
    if (fixing->status != E64_OK || definer == fixing->last)
        return;
    fixing->status = plan_know(fixing->plan, definer, &record);
    if (fixing->status == E64_OK && record->shown.state == E64_PLAN_NEW)
        record->shown.tls_fixed = 1;
    fixing->last = definer;
}

static e64_status count_relocations(struct e64_plan *plan, e64_plugin *plugin,
                                    e64_plan_object *shown)
{
    e64_count counts[LINK_TYPES + 1];
    struct fixing fixing = { plan, E64_OK, NULL };
    link_survey(&plugin->unit, fix, &fixing);
    if (fixing.status != E64_OK)
        return fixing.status;
    size_t count = e64_relocations(plugin, counts, LINK_TYPES + 1);
    e64_count *copy = plan_memory(plan, count * sizeof *copy);
    if (!copy)
        return E64_NOMEMORY;
    for (size_t i = 0; i < count; i++)
        copy[i] = counts[i];
    shown->relocations = copy;
    shown->relocation_count = count;
    return E64_OK;
}

e64_status plan_bind(struct discovery *discovery, e64_plugin *plugin,
                     const struct link_scope *scope)
{
    struct e64_plan *plan = discovery->plan;
    const struct link_unit *unit = &plugin->unit;
    struct link_walk walk = { 0 };
    struct link_binding binding;
    struct plan_object *record;
    e64_status status = plan_know(plan, &unit->object, &record);
    if (status == E64_OK)
        status = make_room(plan, unit->bindings.imports);
    if (status == E64_OK && plan->failed)
        status = fail_memory(sizeof *plan->missing);
    if (status != E64_OK)
        return status;
    record->first_binding = plan->binding_count;
    while (status == E64_OK && link_next(unit, &walk, &binding))
        status = take(discovery, unit, scope, &record->shown, &binding);
    record->binding_count = plan->binding_count - record->first_binding;
    return status == E64_OK
         ? count_relocations(plan, plugin, &record->shown) : status;
}
