// Thread-local storage at fixed offsets from the thread pointer (initial-exec),
// and TLS descriptors.

#include "storage.h"

#include "../error.h"
#include "../host/internals.h"
#include "../memory.h"
#include "../tls/tls.h"
#include "reach.h"

// The plugin itself when the relocation names no symbol; NULL for a weak symbol
// that nothing defines, whose slot stays as it is.
static const struct elf_object *definer_of(const struct link_unit *unit,
                                           uint32_t symbol,
                                           struct link_binding *binding)
{
    *binding = (struct link_binding){ .definer = &unit->object };
    if (symbol && !link_binding(unit, symbol, LINK_CLASS_DEFINED, binding))
        return NULL;
    return binding->definer;
}

const struct elf_object *storage_definer(const struct link_unit *unit,
                                         uint32_t symbol)
{
    struct link_binding binding;
    return definer_of(unit, symbol, &binding);
}

e64_status storage_place(struct link_unit *unit, uint32_t symbol, bool dry)
{
    struct link_binding binding;
    const struct elf_object *definer = definer_of(unit, symbol, &binding);
    int64_t offset;
    if (!definer)
        return E64_OK;
    if (!definer->tls_module) {
        fail(E64_BADFORMAT, "%s: a thread-local relocation refers to %s, which "
             "has no PT_TLS", unit->object.name, definer->name);
        error_path(unit->object.name);
        return E64_BADFORMAT;
    }
    if (dry)
        return E64_OK;
    if (definer->host)
        return host_tls_offset(host_module_of(definer), link_static_tls_type(),
                               &offset);
    return tls_module_place(definer->tls_module, link_static_tls_type(),
                            definer->name);
}

// The offset of an object's block, when it is the same in all threads.
static int64_t block_of(const struct elf_object *definer)
{
    int64_t offset = 0;
    if (!definer->host)
        return tls_module_tp_offset(definer->tls_module);
    struct host_module *module = host_module_of(definer);
    // Not asked of glibc if it would have to place it now.
    if (module->startup || atomic_load(&module->tls_offset))
        host_tls_offset(module, link_static_tls_type(), &offset);
    return offset;
}

e64_status storage_offset(const struct link_unit *unit, uint32_t type,
                          uint64_t place, uint32_t symbol, uint64_t addend)
{
    struct link_binding binding;
    const struct elf_object *definer = definer_of(unit, symbol, &binding);
    if (!definer)
        return E64_OK;
    return reach_write(unit, place, type, symbol, &(struct reloc_values){
        .A = addend, .P = unit->object.bias + place,
        .S = binding.value, .block = block_of(definer) });
}

e64_status storage_make_room(struct link_unit *unit)
{
    unit->descriptors = memory_array(unit->descriptor_room,
                                     sizeof *unit->descriptors);
    return unit->descriptors ? E64_OK
        : fail_memory(unit->descriptor_room * sizeof *unit->descriptors);
}

e64_status storage_descriptor(struct link_unit *unit, uint64_t place,
                              uint32_t symbol, uint64_t addend)
{
    struct link_binding binding;
    const struct elf_object *definer = definer_of(unit, symbol, &binding);
    uint64_t pair[2];
    uint64_t offset = binding.value + addend;
    if (definer && !definer->tls_module) {
        fail(E64_BADFORMAT, "%s: a TLS descriptor refers to %s, which has no "
             "PT_TLS", unit->object.name, definer->name);
        error_path(unit->object.name);
        return E64_BADFORMAT;
    }
    if (unit->descriptor_count == unit->descriptor_room) {
        fail(E64_BADFORMAT, "%s: a TLS descriptor was written to the file "
             "while it was being opened", unit->object.name);
        error_path(unit->object.name);
        return E64_BADFORMAT;
    }
    int64_t block = definer ? block_of(definer) : 0;
    if (!definer)
        tls_descriptor_undefined((int64_t)addend, pair);
    else if (block)
        tls_descriptor_static(block + (int64_t)offset, pair);
    else
        tls_descriptor_dynamic(&unit->descriptors[unit->descriptor_count++],
                               definer->tls_module, offset, pair);
    memcpy((void *)(unit->object.bias + place), pair, sizeof pair);
    return E64_OK;
}

// Is part of the image still to be written, by what an IFUNC resolver answers?
static bool is_deferred(const struct link_unit *unit)
{
    const struct elf_range *tls = &unit->image.tls;
    for (uint32_t i = 0; i < unit->deferred_count; i++) {
        uint64_t place = unit->deferred[i].place;
        if (place < tls->vaddr + tls->size && place + 8 > tls->vaddr)
            return true;
    }
    return false;
}

void link_use(struct link_unit *unit)
{
    tls_module_use(unit->tls_module);
}

e64_status link_publish_tls(struct link_unit *unit)
{
    if (!unit->tls_module || is_deferred(unit))
        return E64_OK;
    return tls_module_publish(unit->tls_module, unit->object.name);
}
