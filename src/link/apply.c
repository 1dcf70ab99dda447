// Writes relocations: RELR first, then the others in the order of the tables,
// as ld.so does. What needs an IFUNC resolver of a plugin is put off until all
// the others of the whole group are done.

#include "../error.h"
#include "../memory.h"
#include "reach.h"
#include "storage.h"

struct applying {
    struct link_unit *unit;
    const struct elf_load *load; // where the last place was
    bool text_open;              // read-only segments are writable now
};

static e64_status bad(const struct link_unit *unit, uint64_t place,
                      uint32_t type, const char *what)
{
    fail(E64_BADFORMAT, "%s: the relocation %s of 0x%llx (r_offset) %s",
         unit->object.name, reloc_name(type), (unsigned long long)place, what);
    error_path(unit->object.name);
    return E64_BADFORMAT;
}

// May `width` bytes at this vaddr be written?
static inline e64_status check_place(struct applying *applying, uint64_t place,
                                     uint32_t width, uint32_t type)
{
    const struct elf_load *load = applying->load;
    if (!load || place < load->vaddr || load->memsz < width
        || place - load->vaddr > load->memsz - width) {
        load = elf_image_load(&applying->unit->image, place, width);
        if (!load)
            return bad(applying->unit, place, type, "lies outside the "
                       "segments");
        if (!(load->flags & PF_W) && !applying->text_open)
            return bad(applying->unit, place, type, "writes to a read-only "
                       "segment without DT_TEXTREL");
        applying->load = load;
    }
    return E64_OK;
}

static e64_status apply_relr(struct applying *applying, struct view table)
{
    const uint64_t bias = applying->unit->object.bias;
    uint64_t where = 0;
    for (uint64_t at = 0; at < table.size; at += 8) {
        uint64_t entry = load64(table.data + at);
        uint64_t bitmap = 1, first = where;
        if (entry & 1) { // 63 words, a bit each, from where the last ended
            bitmap = entry >> 1;
            where += 63 * 8;
        } else { // an address
            first = entry;
            where = entry + 8;
        }
        for (; bitmap; bitmap &= bitmap - 1) {
            uint64_t vaddr = first + 8 * (uint64_t)__builtin_ctzll(bitmap);
            e64_status status = check_place(applying, vaddr, 8,
                                            reloc_relative);
            if (status != E64_OK)
                return status;
            applying->unit->relr_count++;
            uint8_t *place = (uint8_t *)(bias + vaddr);
            uint64_t value = load64(place) + bias;
            memcpy(place, &value, 8);
        }
    }
    return E64_OK;
}

static e64_status defer(struct link_unit *unit, struct link_deferred deferred)
{
    e64_status status = memory_grow(&unit->deferred, unit->deferred_count,
                                    &unit->deferred_room, sizeof deferred);
    if (status == E64_OK)
        unit->deferred[unit->deferred_count++] = deferred;
    return status;
}

static uint64_t ask(uint64_t resolver)
{
    return ((uint64_t (*)(void))resolver)();
}

// What an import comes to that is bound to an IFUNC; false where that is of a
// plugin. The host's resolvers have done their work for the host already and
// may be asked at any time.
static bool find_chosen(const struct link_unit *unit, struct link_entry *entry,
                        bool *own, uint64_t *value)
{
    *own = entry->definer == LINK_SELF;
    *value = entry->value;
    if (!unit->bindings.definers[entry->definer]->host)
        return false;
    if (!entry->asked)
        *value = entry->value = ask(entry->value);
    entry->asked = true;
    return true;
}

static bool is_code(const struct link_unit *unit, uint64_t address)
{
    uint64_t vaddr = address - unit->object.bias;
    const struct elf_load *load = elf_image_load(&unit->image, vaddr, 1);
    return load && load->flags & PF_X;
}

static e64_status apply_size(struct applying *applying, uint64_t offset,
                             uint32_t type, uint32_t symbol, uint64_t addend)
{
    const struct link_unit *unit = applying->unit;
    struct link_binding binding = { .size = 0 };
    link_binding(unit, symbol, LINK_CLASS_ANY, &binding);
    struct reloc_values values = { .A = addend,
                                   .P = unit->object.bias + offset,
                                   .Z = binding.size };
    return reach_write(unit, offset, type, symbol, &values);
}

static e64_status defer_resolver(struct applying *applying, uint64_t offset,
                                 uint32_t type, uint32_t symbol,
                                 uint64_t addend, uint64_t resolver, bool own)
{
    struct link_unit *unit = applying->unit;
    if (own && !is_code(unit, resolver))
        return bad(unit, offset, type, "is for an IFUNC whose resolver lies "
                   "outside the executable segments");
    return defer(unit, (struct link_deferred){ offset, resolver, addend, type,
                                               symbol });
}

// What a symbol comes to; false for an IFUNC of a plugin, with its resolver in
// *value, and whether it is the unit's own in *own.
static inline bool find_value(struct link_unit *unit, uint32_t symbol,
                              enum link_class class, bool *own,
                              uint64_t *value)
{
    const struct link_bindings *bindings = &unit->bindings;
    if (link_is_own(bindings, symbol)) {
        *own = true;
        Elf64_Sym read;
        elf_symbol(unit->object.symbols, symbol, &read);
        *value = elf_symbol_value(&unit->object, &read);
        return ELF64_ST_TYPE(read.st_info) != STT_GNU_IFUNC;
    }
    struct link_entry *entry = link_entry(bindings, symbol, class);
    if (entry->type == STT_GNU_IFUNC)
        return find_chosen(unit, entry, own, value);
    *value = entry->value;
    return true;
}

static e64_status apply_symbol(struct applying *applying, uint64_t offset,
                               uint32_t type, uint32_t symbol, uint64_t addend,
                               enum link_class class)
{
    struct link_unit *unit = applying->unit;
    struct reloc_values values = { .A = addend, .B = unit->object.bias,
                                   .P = unit->object.bias + offset };
    bool own;
    // Symbol 0 has the value 0 and is the plugin's own. One that is not wanted
    // is there only if the file has been written to since.
    if (!symbol)
        values.S = unit->object.bias;
    else if (link_wants(&unit->bindings, symbol, class)
             && !find_value(unit, symbol, class, &own, &values.S))
        return defer_resolver(applying, offset, type, symbol, addend, values.S,
                              own);
    return reach_write(unit, offset, type, symbol, &values);
}

// DTPMOD64 and DTPOFF64. Without a symbol they are for the plugin itself; a
// weak symbol that nothing defines leaves the slot as it is.
static e64_status apply_tls(struct applying *applying, uint64_t offset,
                            uint32_t type, uint32_t symbol, uint64_t addend)
{
    const struct link_unit *unit = applying->unit;
    struct reloc_values values = { .A = addend,
                                   .P = unit->object.bias + offset,
                                   .module = unit->object.tls_module };
    if (symbol) {
        struct link_binding binding;
        if (!link_binding(unit, symbol, LINK_CLASS_DEFINED, &binding)
            || !binding.definer)
            return E64_OK;
        values.S = binding.value;
        values.module = binding.definer->tls_module;
    }
    if (!values.module)
        return bad(unit, offset, type, "is for an object without PT_TLS");
    reloc_apply(type, &values);
    return E64_OK;
}

static e64_status apply_one(struct applying *applying, const uint8_t *entry)
{
    struct link_unit *unit = applying->unit;
    const uint64_t bias = unit->object.bias;
    uint64_t offset = load64(entry), info = load64(entry + 8);
    uint64_t addend = load64(entry + 16);
    uint32_t type = ELF64_R_TYPE(info);
    uint32_t symbol = (uint32_t)ELF64_R_SYM(info);
    enum reloc_kind kind = reloc_kind(type);
    if (kind == RELOC_NONE)
        return E64_OK;
    // link_resolve has refused those that it has seen.
    if (kind == RELOC_COPY || kind == RELOC_UNKNOWN)
        return bad(unit, offset, type, "was written to the file while it was "
                   "being opened");
    e64_status status = check_place(applying, offset, reloc_width(type), type);
    if (status != E64_OK)
        return status;
    unit->counts[type]++;
    switch (kind) {
    case RELOC_RELATIVE:
        reloc_apply(type, &(struct reloc_values){ .A = addend, .B = bias,
                                                  .P = bias + offset });
        return E64_OK;
    case RELOC_IRELATIVE:
        if (!is_code(unit, bias + addend))
            return bad(unit, offset, type, "names a resolver outside the "
                       "executable segments");
        return defer(unit, (struct link_deferred){ offset, bias + addend, 0,
                                                   type, 0 });
    case RELOC_SYMBOL:
        return apply_symbol(applying, offset, type, symbol, addend,
                            LINK_CLASS_ANY);
    case RELOC_SIZE:
        return apply_size(applying, offset, type, symbol, addend);
    case RELOC_JUMP:
        if (symbol && unit->lazy.wanted
            && !link_wants(&unit->bindings, symbol, LINK_CLASS_DEFINED)) {
            lazy_point(unit, offset);
            return E64_OK;
        }
        return apply_symbol(applying, offset, type, symbol, addend,
                            LINK_CLASS_DEFINED);
    case RELOC_TLS:
        return apply_tls(applying, offset, type, symbol, addend);
    case RELOC_STATIC_TLS:
        return storage_offset(unit, type, offset, symbol, addend);
    case RELOC_DESCRIPTOR:
        return storage_descriptor(unit, offset, symbol, addend);
    default:
        return E64_OK; // none of the others comes here
    }
}

// Most relocations are B + A, one after the other in one segment.
static e64_status apply_relatives(struct applying *applying, struct view table,
                                  uint64_t *at)
{
    struct link_unit *unit = applying->unit;
    const uint64_t bias = unit->object.bias;
    const uint32_t type = reloc_relative;
    const uint8_t *entry = table.data + *at, *end = table.data + table.size;
    e64_status status = E64_OK;
    // An offset is read once: somebody may be writing to the file.
    while (entry < end && load32(entry + 8) == type) {
        uint64_t offset = load64(entry);
        status = check_place(applying, offset, 8, type);
        if (status != E64_OK)
            break;
        const uint64_t low = applying->load->vaddr;
        const uint64_t last = applying->load->memsz - 8;
        do {
            uint64_t value = bias + load64(entry + 16);
            memcpy((void *)(bias + offset), &value, sizeof value);
            entry += sizeof(Elf64_Rela);
            if (entry >= end || load32(entry + 8) != type)
                break;
            offset = load64(entry);
        } while (offset - low <= last);
    }
    uint64_t reached = (uint64_t)(entry - table.data);
    unit->counts[type] += (reached - *at) / sizeof(Elf64_Rela);
    *at = reached;
    return status;
}

// What all relocations of one type for one symbol write: S, and A where the
// mask has it.
struct word {
    uint64_t S, mask;
    uint32_t type;
};

// False for what is left to apply_one: what waits, and IFUNCs of plugins.
static bool find_word(struct link_unit *unit, uint64_t info, struct word *word)
{
    uint32_t type = ELF64_R_TYPE(info);
    uint32_t symbol = (uint32_t)ELF64_R_SYM(info);
    bool own;
    if (type >= LINK_TYPES || !reloc_words[type].plain || !symbol)
        return false;
    enum link_class class = reloc_words[type].jumps ? LINK_CLASS_DEFINED
                                                    : LINK_CLASS_ANY;
    word->type = type;
    word->mask = reloc_words[type].adds ? UINT64_MAX : 0;
    return link_wants(&unit->bindings, symbol, class)
        && find_value(unit, symbol, class, &own, &word->S);
}

// The next most are words that become S + A or S. Linkers put those of one
// symbol beside each other.
static e64_status apply_words(struct applying *applying, struct view table,
                              uint64_t *at)
{
    struct link_unit *unit = applying->unit;
    const uint64_t bias = unit->object.bias;
    const uint8_t *entry = table.data + *at, *end = table.data + table.size;
    struct word word = { 0 };
    uint64_t known = 0;
    e64_status status = E64_OK;
    for (; entry < end; entry += sizeof(Elf64_Rela)) {
        uint64_t offset = load64(entry), info = load64(entry + 8);
        if (info != known && !find_word(unit, info, &word))
            break;
        known = info;
        status = check_place(applying, offset, 8, word.type);
        if (status != E64_OK)
            break;
        uint64_t value = word.S + (load64(entry + 16) & word.mask);
        memcpy((void *)(bias + offset), &value, sizeof value);
        unit->counts[word.type]++;
    }
    *at = (uint64_t)(entry - table.data);
    return status;
}

static e64_status apply_table(struct applying *applying, struct view table)
{
    e64_status status = E64_OK;
    for (uint64_t at = 0; status == E64_OK && at < table.size;) {
        status = apply_relatives(applying, table, &at);
        if (status == E64_OK)
            status = apply_words(applying, table, &at);
        if (status == E64_OK && at < table.size
            && load32(table.data + at + 8) != reloc_relative) {
            status = apply_one(applying, table.data + at);
            at += sizeof(Elf64_Rela);
        }
    }
    return status;
}

// Those that DT_RELACOUNT counts have been passed over when symbols were bound.
static e64_status apply_counted(struct applying *applying)
{
    const struct elf_relocations *tables = &applying->unit->image.relocations;
    const uint64_t size = tables->relatives * sizeof(Elf64_Rela);
    uint64_t at = 0;
    e64_status status = E64_OK;
    if (size)
        status = apply_relatives(applying, (struct view){ tables->rela.data,
                                                          size }, &at);
    if (status != E64_OK || at == size)
        return status;
    const uint8_t *entry = tables->rela.data + at;
    return bad(applying->unit, load64(entry), load32(entry + 8), "is not "
               "relative, and DT_RELACOUNT counts it");
}

static e64_status apply_rest(struct applying *applying)
{
    const struct elf_relocations *tables = &applying->unit->image.relocations;
    return apply_table(applying,
                       view_behind(tables->rela,
                                   tables->relatives * sizeof(Elf64_Rela)));
}

e64_status link_apply(struct link_unit *unit)
{
    const struct elf_relocations *tables = &unit->image.relocations;
    struct applying applying = { .unit = unit,
                                 .text_open = unit->image.text_relocations };
    e64_status status = storage_make_room(unit);
    if (status == E64_OK)
        status = link_open_text(unit);
    if (status == E64_OK)
        status = apply_relr(&applying, tables->relr);
    if (status == E64_OK)
        status = apply_counted(&applying);
    if (status == E64_OK)
        status = apply_rest(&applying);
    if (status == E64_OK)
        status = apply_table(&applying, tables->jmprel);
    if (status == E64_OK && unit->lazy.wanted)
        lazy_enter(unit);
    if (status == E64_OK)
        status = link_close_text(unit);
    unit->applied = status == E64_OK;
    return status;
}

// One at a time and in the order of the tables: a resolver may call what an
// earlier one has chosen. Text that has relocations is not run while it is
// written to.
e64_status link_apply_deferred(struct link_unit *unit)
{
    const uint64_t bias = unit->object.bias;
    e64_status status = E64_OK;
    uint32_t done = 0;
    // Where it failed before, text may not be executable.
    if (unit->deferred_count)
        status = link_close_text(unit);
    if (status != E64_OK)
        return status;
    for (; status == E64_OK && done < unit->deferred_count; done++) {
        const struct link_deferred *deferred = &unit->deferred[done];
        struct reloc_values values = { .A = deferred->addend, .B = bias,
                                       .P = bias + deferred->place,
                                       .S = ask(deferred->resolver) };
        status = link_open_text(unit);
        if (status == E64_OK)
            status = reach_write(unit, deferred->place, deferred->type,
                                 deferred->symbol, &values);
        if (status == E64_OK)
            status = link_close_text(unit);
    }
    if (status != E64_OK) {
        // The one that failed is the first of those that are left.
        unit->deferred_count -= --done;
        memmove(unit->deferred, unit->deferred + done,
                unit->deferred_count * sizeof *unit->deferred);
        return status;
    }
    link_deferred_free(unit);
    return link_publish_tls(unit);
}

void link_deferred_free(struct link_unit *unit)
{
    memory_free(unit->deferred);
    unit->deferred = NULL;
    unit->deferred_count = unit->deferred_room = 0;
}
