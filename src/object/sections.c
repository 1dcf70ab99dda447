// Says for each input section to which chunk of the image it belongs, by its
// type, flags and name, as ld's script does.

#include <ctype.h>
#include <stdlib.h>

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// x86-64's own, in ELF's range for processors (psABI 4.2, "Sections").
enum { TYPE_UNWIND = 0x70000001, FLAG_LARGE = 0x10000000 };

// What has no priority comes after all that has.
enum { NO_PRIORITY = 65536 };

// Is it ".init_array" or ".init_array.100"?
static bool is_named(const char *name, const char *stem)
{
    size_t length = strlen(stem);
    return strncmp(name, stem, length) == 0
        && (name[length] == '\0' || name[length] == '.');
}

static uint32_t priority_of(const char *name, const char *stem)
{
    const char *suffix = name + strlen(stem);
    if (*suffix != '.' || !isdigit((unsigned char)suffix[1]))
        return NO_PRIORITY;
    unsigned long priority = strtoul(suffix + 1, NULL, 10);
    return priority < NO_PRIORITY ? (uint32_t)priority : NO_PRIORITY;
}

// Constructors and destructors. The older kind runs in reverse, and its
// priorities count down.
static enum chunk classify_array(const struct elf_section *section,
                                 struct piece *piece)
{
    static const struct {
        const char *stem;
        uint32_t type;
        enum chunk chunk;
        bool reversed;
    } kinds[] = {
        { ".init_array", SHT_INIT_ARRAY, CHUNK_INITS, false },
        { ".fini_array", SHT_FINI_ARRAY, CHUNK_FINIS, false },
        { ".ctors", SHT_PROGBITS, CHUNK_INITS, true },
        { ".dtors", SHT_PROGBITS, CHUNK_FINIS, true },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool named = is_named(section->name, kinds[i].stem);
        if (!named && (kinds[i].reversed || section->type != kinds[i].type))
            continue;
        piece->order = named ? priority_of(section->name, kinds[i].stem)
                             : NO_PRIORITY;
        if (kinds[i].reversed && piece->order != NO_PRIORITY)
            piece->order = piece->order < 65535 ? 65535 - piece->order : 0;
        piece->reversed = kinds[i].reversed;
        return kinds[i].chunk;
    }
    return CHUNK_NONE;
}

static enum chunk classify(const struct elf_section *section,
                           struct piece *piece)
{
    const bool empty = section->type == SHT_NOBITS;
    const bool large = section->flags & FLAG_LARGE;
    if (section->type == TYPE_UNWIND || strcmp(section->name, ".eh_frame") == 0)
        return CHUNK_FRAMES;
    if (section->type == SHT_NOTE) // which are read by their alignment
        return section_is_property(section) ? CHUNK_NONE
             : section->align >= 8 ? CHUNK_PROPERTIES : CHUNK_NOTES;
    if (section->flags & SHF_TLS)
        return empty ? CHUNK_TBSS : CHUNK_TDATA;
    if (section->flags & SHF_EXECINSTR)
        return strcmp(section->name, ".init") == 0 ? CHUNK_INIT
             : strcmp(section->name, ".fini") == 0 ? CHUNK_FINI : CHUNK_TEXT;
    enum chunk array = classify_array(section, piece);
    if (array != CHUNK_NONE)
        return array;
    if (empty)
        return large ? CHUNK_LARGE_BSS : CHUNK_BSS;
    if (!(section->flags & SHF_WRITE))
        return CHUNK_RODATA;
    return is_named(section->name, ".data.rel.ro") ? CHUNK_RELRO : CHUNK_DATA;
}

static bool is_identifier(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_')
        name++;
    return *name == '\0';
}

static e64_status grow_buckets(struct edit *edit)
{
    uint32_t count = edit->name_mask ? 4 * (edit->name_mask + 1) : 16;
    uint32_t *buckets = edit_new(edit, count * sizeof *buckets);
    if (!buckets)
        return fail_memory(count * sizeof *buckets);
    for (uint32_t i = 0; i < edit->name_count; i++) {
        uint32_t *bucket = &buckets[edit->names[i].key & (count - 1)];
        edit->names[i].next = *bucket;
        *bucket = i + 1;
    }
    edit->name_buckets = buckets;
    edit->name_mask = count - 1;
    return E64_OK;
}

// Enters the name of a section that __start_NAME may ask for. All of one name
// lie together, those too that are zero: the file has their bytes.
static e64_status enter_name(struct edit *edit, const char *name,
                             struct piece *piece)
{
    const uint64_t key = edit_hash(edit, name);
    if (chunk_is_nobits(piece->chunk))
        piece->chunk = CHUNK_DATA;
    if (2 * edit->name_count >= edit->name_mask) {
        e64_status status = grow_buckets(edit);
        if (status != E64_OK)
            return status;
    }
    uint32_t *bucket = &edit->name_buckets[key & edit->name_mask];
    for (uint32_t i = *bucket; i; i = edit->names[i - 1].next) {
        struct named *named = &edit->names[i - 1];
        if (named->key != key || strcmp(named->name, name) != 0
            || chunk_is_code(named->chunk) != chunk_is_code(piece->chunk))
            continue;
        // Each is where one must be.
        if (named->chunk < piece->chunk)
            named->chunk = piece->chunk;
        piece->named = i;
        return E64_OK;
    }
    e64_status status = memory_grow(&edit->names, edit->name_count,
                                    &edit->name_room, sizeof *edit->names);
    if (status != E64_OK)
        return status;
    edit->names[edit->name_count++] = (struct named){
        .name = name, .key = key, .next = *bucket, .chunk = piece->chunk };
    *bucket = piece->named = edit->name_count;
    return E64_OK;
}

// What no image can have, or no sane one.
static e64_status check(const struct unit *unit, uint32_t index)
{
    const struct elf_section *section = &unit->read.sections[index];
    if (!(section->flags & SHF_ALLOC))
        return E64_OK;
    if (section->flags & SHF_EXECINSTR && section->flags & SHF_WRITE)
        return edit_bad(unit, index, E64_UNSUPPORTED, "is writable and "
                        "executable (SHF_WRITE, SHF_EXECINSTR), and memory "
                        "is never both");
    if (section->type == SHT_PREINIT_ARRAY)
        return edit_bad(unit, index, E64_UNSUPPORTED, "only an executable "
                        "can have constructors that run before all others "
                        "(SHT_PREINIT_ARRAY)");
    if (section->align > 1u << 24)
        return edit_bad(unit, index, E64_UNSUPPORTED, "its alignment "
                        "(sh_addralign) is more than 16 MB");
    return E64_OK;
}

// Constructors and destructors are pointers, whatever the section's type.
static e64_status check_array(const struct unit *unit, uint32_t index)
{
    const struct elf_section *section = &unit->read.sections[index];
    const bool typed = section->type == SHT_INIT_ARRAY
                    || section->type == SHT_FINI_ARRAY;
    uint8_t chunk = unit->pieces[index].chunk;
    if (chunk != CHUNK_INITS && chunk != CHUNK_FINIS)
        return E64_OK;
    if (section->size % 8)
        return edit_bad(unit, index, E64_BADFORMAT, "its size (sh_size) is %llu"
                        ", no multiple of 8: it holds addresses of functions",
                        (unsigned long long)section->size);
    if (typed && section->entsize && section->entsize != 8)
        return edit_bad(unit, index, E64_BADFORMAT, "its entries have %llu "
                        "bytes (sh_entsize), and addresses of functions have 8",
                        (unsigned long long)section->entsize);
    return E64_OK;
}

e64_status edit_classify(struct edit *edit, struct unit *unit)
{
    e64_status status = E64_OK;
    for (uint32_t i = 1; status == E64_OK && i < unit->read.section_count;
         i++) {
        const struct elf_section *section = &unit->read.sections[i];
        struct piece *piece = &unit->pieces[i];
        piece->size = section->size;
        status = check(unit, i);
        if (!(section->flags & SHF_ALLOC) || piece->dropped
            || section->flags & SHF_EXCLUDE || section->type == SHT_GROUP)
            continue;
        piece->chunk = (uint8_t)classify(section, piece);
        if (status == E64_OK)
            status = check_array(unit, i);
        if (piece->chunk == CHUNK_FRAMES && status == E64_OK)
            status = section->type == SHT_NOBITS
                ? edit_bad(unit, i, E64_BADFORMAT, "is empty (SHT_NOBITS)")
                : edit_scan_frames(edit, unit, i);
        else if (is_identifier(section->name) && !piece->order
                 && !(section->flags & SHF_TLS) && status == E64_OK)
            status = enter_name(edit, section->name, piece);
    }
    return status;
}
