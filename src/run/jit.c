// Makes the objects that plugins are made of known to debuggers, by the
// interface that GDB has for code made at run time (GDB's manual, "JIT
// Compilation Interface"), which lldb knows too: a list of object files in
// memory, in which the addresses of sections are the final ones (sh_addr), and
// a function that is called when the list changes, in which a debugger has a
// breakpoint. Such plugins are not on the list of debugger.c, or all would be
// seen twice.
//
// The two names are weak and hidden: a program may hold another compiler of the
// kind, which has both too. Where that is linked into the same file they share
// one list; else each has its own, and debuggers find all of them by the symbol
// tables (.symtab) of the files.
//
// Of an object a debugger needs what describes the code; the code itself it
// reads where it runs.

#include "objects.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

enum { JIT_NOTHING, JIT_REGISTER, JIT_UNREGISTER };

struct jit_entry {
    struct jit_entry *next, *previous;
    const void *file;
    uint64_t size;
};

struct jit_descriptor {
    uint32_t version, action;
    struct jit_entry *relevant, *first;
};

__attribute__((weak)) struct jit_descriptor __jit_debug_descriptor = {
    .version = 1,
};

// Debuggers stop here.
__attribute__((weak, noinline)) void __jit_debug_register_code(void);
void __jit_debug_register_code(void) { }

static void (*volatile tell)(void) = __jit_debug_register_code;

struct jit_symfile {
    struct jit_entry entry;
    struct jit_symfile *next;
    bool listed;
    uint8_t bytes[] __attribute__((aligned(16)));
};

static struct lock lock = LOCK_INITIALIZER;

// ------------------------------------------------------------- the files ---

// What a debugger is shown of an object.
struct showing {
    const e64_plugin *plugin;
    const struct object_part *part;
    Elf64_Ehdr header;
    struct view names; // of sections
};

static Elf64_Shdr header_of(const struct showing *showing, uint32_t section)
{
    Elf64_Shdr header = { .sh_type = SHT_NULL };
    view_read(showing->part->file, showing->header.e_shoff
              + section * (uint64_t)sizeof header, &header, sizeof header);
    return header;
}

static struct view bytes_of(const struct showing *showing,
                            const Elf64_Shdr *header)
{
    const struct view file = showing->part->file;
    if (header->sh_type == SHT_NOBITS || header->sh_type == SHT_NULL
        || header->sh_offset > file.size
        || header->sh_size > file.size - header->sh_offset)
        return (struct view){ .size = 0 };
    return (struct view){ file.data + header->sh_offset, header->sh_size };
}

static bool is_frames(const struct showing *showing, const Elf64_Shdr *header)
{
    static const char name[] = ".eh_frame";
    char read[sizeof name];
    return view_read(showing->names, header->sh_name, read, sizeof read)
        && memcmp(read, name, sizeof name) == 0;
}

// What becomes of a section's header; and are its bytes of use?
static bool show_section(const struct showing *showing, uint32_t section,
                         Elf64_Shdr *header)
{
    const struct object_part *part = showing->part;
    header->sh_flags &= ~(uint64_t)SHF_GROUP;
    if (header->sh_type == SHT_RELA) {
        const Elf64_Shdr target = header_of(showing, header->sh_info);
        if (!(target.sh_flags & SHF_ALLOC) || is_frames(showing, &target))
            return true;
        header->sh_type = SHT_NULL;
        return false;
    }
    if (header->sh_type == SHT_GROUP)
        header->sh_type = SHT_NULL;
    if (!(header->sh_flags & SHF_ALLOC))
        return header->sh_type != SHT_NULL && header->sh_type != SHT_NOBITS;
    uint64_t vaddr = section < part->section_count ? part->sections[section]
                                                   : OBJECT_NOWHERE;
    bool frames = is_frames(showing, header);
    if (vaddr != OBJECT_NOWHERE)
        header->sh_addr = showing->plugin->unit.object.bias + vaddr;
    else if (!frames) // of a group that another object has
        header->sh_flags = 0;
    if (!frames)
        header->sh_type = SHT_NOBITS;
    return frames;
}

// A section that what is common may count from. It is no part of it, which
// debuggers do not mind; but lldb has SHN_ABS twice its value in such files.
static uint16_t data_section(const struct showing *showing, uint64_t *address)
{
    const struct object_part *part = showing->part;
    for (uint32_t i = 1; i < part->section_count && i < SHN_LORESERVE; i++) {
        uint64_t flags = header_of(showing, i).sh_flags;
        if (part->sections[i] == OBJECT_NOWHERE || flags & SHF_TLS
            || !(flags & SHF_WRITE))
            continue;
        *address = showing->plugin->unit.object.bias + part->sections[i];
        return (uint16_t)i;
    }
    *address = 0;
    return SHN_ABS;
}

// Common symbols have got a place.
static void place_common(const struct showing *showing,
                         const Elf64_Shdr *header, struct view symtab,
                         uint8_t *copy)
{
    const struct elf_object *object = &showing->plugin->unit.object;
    const Elf64_Shdr link = header_of(showing, header->sh_link);
    const struct view strings = bytes_of(showing, &link);
    uint64_t base;
    uint16_t section = data_section(showing, &base);
    Elf64_Sym symbol, found;
    for (uint64_t at = 0; view_read(symtab, at, &symbol, sizeof symbol);
         at += sizeof symbol) {
        if (symbol.st_shndx != SHN_COMMON || symbol.st_name >= strings.size
            || strings.data[strings.size - 1])
            continue;
        struct elf_name name
            = elf_name((const char *)strings.data + symbol.st_name);
        if (!elf_find(object->symbols, &name, ELF_WANT_DEFINED, &found))
            continue;
        symbol.st_shndx = section;
        symbol.st_value = elf_symbol_value(object, &found) - base;
        memcpy(copy + at, &symbol, sizeof symbol);
    }
}

// Writes the file to `out`, unless that is NULL, and answers its size.
static uint64_t show(struct showing *showing, uint8_t *out)
{
    const uint32_t count = showing->part->section_count;
    Elf64_Ehdr header = showing->header;
    header.e_shoff = sizeof header;
    uint64_t size = header.e_shoff + count * (uint64_t)sizeof(Elf64_Shdr);
    if (out)
        memcpy(out, &header, sizeof header);
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Shdr read = header_of(showing, i), shown = read;
        struct view bytes = { .size = 0 };
        // The first one holds numbers that are too large for the header.
        if (i > 0 && show_section(showing, i, &shown)) {
            bytes = bytes_of(showing, &read);
            size = (size + 15) & ~(uint64_t)15;
        }
        if (i > 0)
            shown.sh_offset = size;
        if (out) {
            memcpy(out + header.e_shoff + i * sizeof shown, &shown,
                   sizeof shown);
            if (bytes.size)
                memcpy(out + size, bytes.data, bytes.size);
            if (shown.sh_type == SHT_SYMTAB)
                place_common(showing, &read, bytes, out + size);
        }
        size += bytes.size;
    }
    return size;
}

static e64_status add_part(e64_plugin *plugin, const struct object_part *part)
{
    struct showing showing = { .plugin = plugin, .part = part };
    if (!view_read(part->file, 0, &showing.header, sizeof showing.header))
        return E64_OK;
    uint32_t names = showing.header.e_shstrndx;
    if (names == SHN_XINDEX)
        names = header_of(&showing, 0).sh_link;
    Elf64_Shdr header = header_of(&showing, names);
    showing.names = bytes_of(&showing, &header);
    uint64_t size = show(&showing, NULL);
    struct jit_symfile *made = memory_resize(NULL, sizeof *made + size);
    if (!made)
        return fail_memory(sizeof *made + size);
    memset(made, 0, sizeof *made + size);
    show(&showing, made->bytes);
    made->entry.file = made->bytes;
    made->entry.size = size;
    made->next = plugin->objects->symfiles;
    plugin->objects->symfiles = made;
    return E64_OK;
}

e64_status jit_make(e64_plugin *plugin)
{
    const struct object_image *image = plugin->unit.made;
    e64_status status = E64_OK;
    for (uint32_t i = 0; image && status == E64_OK && i < image->part_count;
         i++)
        status = add_part(plugin, &image->parts[i]);
    return status;
}

// -------------------------------------------------------------- the list ---

static void announce(struct jit_entry *entry, uint32_t action)
{
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_descriptor.action = action;
    tell();
    __jit_debug_descriptor.action = JIT_NOTHING;
    __jit_debug_descriptor.relevant = NULL;
}

static void add(struct jit_entry *entry)
{
    struct jit_entry *next = __jit_debug_descriptor.first;
    entry->next = next;
    entry->previous = NULL;
    if (next)
        next->previous = entry;
    __jit_debug_descriptor.first = entry;
    announce(entry, JIT_REGISTER);
}

static void take_out(struct jit_entry *entry)
{
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        __jit_debug_descriptor.first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    announce(entry, JIT_UNREGISTER);
}

void jit_add(e64_plugin *plugin)
{
    lock_take(&lock);
    for (struct jit_symfile *file = plugin->objects->symfiles; file;
         file = file->next) {
        if (!file->listed)
            add(&file->entry);
        file->listed = true;
    }
    lock_give(&lock);
}

void jit_remove(e64_plugin *plugin)
{
    struct jit_symfile *file = plugin->objects->symfiles;
    lock_take(&lock);
    for (struct jit_symfile *each = file; each; each = each->next)
        if (each->listed)
            take_out(&each->entry);
    lock_give(&lock);
    plugin->objects->symfiles = NULL;
    while (file) {
        struct jit_symfile *next = file->next;
        memory_free(file);
        file = next;
    }
}

void jit_before_fork(void)
{
    lock_before_fork(&lock);
}

void jit_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}
