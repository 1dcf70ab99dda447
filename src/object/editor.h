// One link while it lasts: what the files of this room share.

#ifndef OBJECT_EDITOR_H
#define OBJECT_EDITOR_H

#include "../arena.h"
#include "../elf/archive.h"
#include "../elf/relocatable.h"
#include "object.h"

// What the image is put together from, in the order in which it lies there.
// Read-only is first, then code, then what is sealed once it is relocated
// (PT_GNU_RELRO), then data.
enum chunk {
    CHUNK_NONE, // not in the image
    CHUNK_HEADERS,
    CHUNK_NOTES,
    CHUNK_PROPERTIES, // and other notes that are aligned to 8
    CHUNK_HASH,
    CHUNK_SYMBOLS,
    CHUNK_STRINGS,
    CHUNK_RELA,
    CHUNK_JMPREL,
    CHUNK_RODATA,
    CHUNK_FRAME_INDEX, // .eh_frame_hdr
    CHUNK_FRAMES,      // .eh_frame, where it needs no relocating
    CHUNK_PLT,
    CHUNK_INIT,
    CHUNK_FINI,
    CHUNK_TEXT,
    CHUNK_STUBS,
    CHUNK_TDATA,
    CHUNK_TBSS, // takes no addresses
    CHUNK_INITS,
    CHUNK_FINIS,
    CHUNK_RELRO,
    CHUNK_RELRO_FRAMES,
    CHUNK_DYNAMIC,
    CHUNK_GOT,
    CHUNK_GOT_PLT,
    CHUNK_DATA,
    CHUNK_BSS,
    CHUNK_LARGE_BSS,
    CHUNKS,

    FIRST_OF_CODE = CHUNK_PLT,
    FIRST_OF_RELRO = CHUNK_TDATA,
    FIRST_OF_DATA = CHUNK_GOT_PLT,
    FIRST_OF_BSS = CHUNK_BSS,
};

struct chunk_range {
    uint64_t vaddr; // and offset in the file; of .tbss it is where it would be
    uint64_t size;
    uint64_t align;
};

// What becomes of an input section.
struct piece {
    uint64_t vaddr;   // once it is laid out
    uint64_t size;    // .eh_frame ends at its terminator
    uint8_t chunk;    // enum chunk
    bool dropped;     // of a group that another object has, too
    bool reversed;    // .ctors: its last word comes first
    uint32_t named;   // number of its name among edit->names plus one; or 0
    uint32_t order;   // of .init_array and the like: their priority
};

// Where a function begins.
struct start {
    uint32_t section;
    uint64_t value;
};

// An object that is being linked.
struct unit {
    char *name; // memory_free, unless it is handed over
    struct elf_relocatable read;
    struct piece *pieces;    // by section
    struct symbol **symbols; // by symbol; a local one has one when it needs it
    struct start *starts;    // of functions, by section and offset; or NULL
    uint32_t start_count;
    bool ours; // no input, but what crt1.o and the like are for ld
};

enum place {
    PLACE_NONE,    // nothing defines it
    PLACE_SECTION, // in a section of its unit
    PLACE_FIXED,   // an address that does not move
    PLACE_COMMON,  // tentative: what the units say of it added up
    PLACE_START,   // the start of a chunk, ...
    PLACE_END,     // ... its end
    PLACE_NAMED_START, // of all sections of one name
    PLACE_NAMED_END,
};

struct symbol {
    const char *name;
    struct symbol *next; // of the same hash bucket
    struct unit *unit;   // the definer
    uint64_t value;      // offset in the section; alignment of a common one
    uint64_t size;
    uint64_t address; // of a common one, once laid out
    uint64_t key;     // edit_hash
    uint32_t hash;    // elf_gnu_hash
    uint32_t section; // of the unit; of a chunk or a name: which one
    uint8_t place;    // enum place
    uint8_t type, binding, visibility;
    bool wanted;  // by a reference that is not weak
    bool listed;  // among edit->wanted
    bool local;   // not found by name
    bool direct;  // code has its address without asking the GOT
    bool imported; // among edit->imports
    uint32_t dynamic; // its index there
    // Its slots in the GOT by their number plus one, or 0.
    uint32_t address_slot, pair_slot, offset_slot, descriptor_slot;
    uint32_t resolved_slot; // of an IFUNC's PLT entry
    uint32_t plt; // number of its entry plus one; or 0
};

enum slot_kind {
    SLOT_ADDRESS,    // the address of a symbol
    SLOT_RESOLVED,   // what an IFUNC's resolver answers
    SLOT_PAIR,       // two: module and offset
    SLOT_MODULE,     // two: the image's own module, and 0
    SLOT_OFFSET,     // from the thread pointer
    SLOT_DESCRIPTOR, // two: a TLS descriptor
};

struct slot {
    struct symbol *symbol;
    uint32_t word; // its first one in the GOT
    uint8_t kind;  // enum slot_kind
};

// Sections whose names are C identifiers lie together, by name, for
// __start_NAME and __stop_NAME.
struct named {
    const char *name;
    uint64_t key;  // edit_hash
    uint32_t next; // of the same bucket: its number plus one; or 0
    uint64_t start, end;
    uint8_t chunk;
};

// Something in link order.
struct item {
    struct unit *unit;
    uint32_t section;
    uint32_t order; // its first sorting key; the second is its number
    uint32_t number;
};

// Of all objects together.
struct property {
    uint32_t value, units; // how many have it
};

enum { EDIT_PROPERTIES = 6 };

// A file that is the member of a thin archive: what image->opened of the same
// number does not say.
struct opened {
    uint32_t archive; // number of the input that it was last searched for
                      // names by, plus one; or 0
    bool linked;
};

struct edit {
    const char *name;
    const struct object_input *inputs;
    uint32_t input_count;
    struct object_image *image; // being made
    uint64_t hash_place;        // see hashing.c

    struct arena memory;  // edit_new
    struct unit **units;  // in link order
    uint32_t unit_count, unit_room;
    struct opened *opened; // as many as image->opened_count
    uint32_t opened_room;

    struct symbol **buckets; // all global names
    uint32_t bucket_count, symbol_count;
    struct symbol **wanted; // undefined when first wanted, in that order
    uint32_t wanted_count, wanted_room;
    const char **groups;    // open addressing: signatures that are taken
    uint32_t group_count, group_room;

    uint32_t *name_buckets; // number of a name plus one; or 0
    uint32_t name_mask;
    struct named *names;
    uint32_t name_count, name_room;
    struct item *items; // pieces by chunk
    uint32_t first_item[CHUNKS + 1];
    struct chunk_range chunks[CHUNKS];
    bool frames_move; // .eh_frame must be relocated

    struct slot *slots;
    uint32_t slot_count, slot_room, slot_words;
    uint32_t module_slot; // plus one
    struct symbol **calls; // by PLT entry
    uint32_t call_count, call_room;
    uint32_t lazy_count;   // of them, with a JUMP_SLOT
    bool uses_got_base;    // _GLOBAL_OFFSET_TABLE_

    uint64_t relative_count, other_count; // in DT_RELA
    uint64_t relative_next, other_next, call_next; // while they are written
    bool static_tls;

    struct symbol **imports; // what relocations of the image refer to
    uint32_t import_count, import_room;
    struct symbol **dynamics; // by index in DT_SYMTAB, from 1 on
    uint32_t dynamic_count, first_global, first_exported;
    uint64_t strings_size;
    uint32_t buckets_of_hash, words_of_hash;

    struct property properties[EDIT_PROPERTIES];
    uint32_t property_units; // all of which it counts

    uint64_t frame_count; // FDEs that are alive
    uint64_t tls_start, tls_size, tls_align;
    uint32_t far_room;
    bool too_large;

    uint8_t *bytes; // of the image, while it is written
    uint64_t loaded_size; // of the file: what segments have of it
    uint64_t statics, static_strings, section_names, section_headers;
    uint64_t static_count, static_local, static_strings_size;
    uint64_t file_size;
};

// ---------------------------------------------------------------- memory ---

// Zeroed, and freed with the edit; NULL without memory.
void *edit_new(struct edit *edit, size_t size);
char *edit_text(struct edit *edit, const char *first, const char *second);

// hashing.c: of names, in the tables of this link.
void edit_choose_hash(struct edit *edit);
uint64_t edit_hash(const struct edit *edit, const char *name);

// ---------------------------------------------------------------- inputs ---

// inputs.c: reads objects and pulls members.
e64_status edit_read_inputs(struct edit *edit);
// Adds one object. The name is its own from then on, on failure too.
e64_status edit_add_unit(struct edit *edit, struct view file, char *name,
                         bool ours, struct unit **added);
// What is wrong with a section, or with an object.
e64_status edit_bad(const struct unit *unit, uint32_t section,
                    e64_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// sections.c: which chunk each section goes to.
e64_status edit_classify(struct edit *edit, struct unit *unit);
// groups.c: drops what an earlier object has already.
e64_status edit_drop_groups(struct edit *edit, struct unit *unit);

// properties_x86_64.c: .note.gnu.property.
bool section_is_property(const struct elf_section *section);
e64_status edit_read_properties(struct edit *edit, const struct unit *unit);
uint64_t edit_properties_size(const struct edit *edit);
void edit_write_properties(const struct edit *edit);

// globals.c: the static linker's rules for names.
e64_status edit_add_symbols(struct edit *edit, struct unit *unit);
struct symbol *edit_find(const struct edit *edit, const char *name);
void edit_free_globals(struct edit *edit);

// supplied.c: what is no object's, but a linker's.
e64_status edit_begin(struct edit *edit);
e64_status edit_supply(struct edit *edit);
extern const uint8_t crt_objects[] __attribute__((visibility("hidden")));
extern const uint32_t crt_object_offsets[]
    __attribute__((visibility("hidden")));
extern const char *const crt_functions[];

// The compiler's own library, by name.
struct helper {
    const char *name;
    const char *address;
};
extern const struct helper libgcc_helpers[];

// The symbol that stands for a local one, with room for its slots.
struct symbol *edit_local(struct edit *edit, struct unit *unit,
                          uint32_t index);

static inline bool symbol_is_tls(const struct symbol *symbol)
{
    return symbol->type == STT_TLS;
}

// Does it stay what the policy of symbols says when others define it too?
static inline bool symbol_is_exported(const struct symbol *symbol)
{
    return !symbol->local && symbol->place != PLACE_NONE
        && (symbol->visibility == STV_DEFAULT
            || symbol->visibility == STV_PROTECTED);
}

// One definition for the whole process, as long as code asks the GOT for it.
static inline bool symbol_is_unique(const struct symbol *symbol)
{
    return symbol->binding == STB_GNU_UNIQUE && symbol_is_exported(symbol);
}

// ------------------------------------------------------------ relocation ---

// relocate.c: first to see what all relocations need, then to write them.
e64_status edit_scan(struct edit *edit);
e64_status edit_relocate(struct edit *edit);

// got_x86_64.c: the GOT and the PLT.
e64_status edit_need_slot(struct edit *edit, struct symbol *symbol,
                          enum slot_kind kind, uint32_t *number);
e64_status edit_need_call(struct edit *edit, struct symbol *symbol);
uint64_t edit_got_base(const struct edit *edit);
uint64_t edit_slot_address(const struct edit *edit, uint32_t number);
uint64_t edit_call_address(const struct edit *edit, uint32_t number);
void edit_size_got(struct edit *edit);
void edit_write_got(struct edit *edit);
// The pieces of .init and .fini are one function each: what comes before and
// after them has so many bytes each time.
enum { FRAMING_SIZE = 8 };
void edit_frame_code(uint8_t *start, uint8_t *end);

static inline bool symbol_is_ifunc(const struct symbol *symbol)
{
    return symbol->type == STT_GNU_IFUNC && symbol->place == PLACE_SECTION;
}

// ---------------------------------------------------------------- layout ---

e64_status edit_lay_out(struct edit *edit);
// Where a symbol is, once all is laid out: see `address`.
uint64_t edit_address(const struct edit *edit, const struct symbol *symbol);
enum chunk edit_chunk(const struct edit *edit, const struct symbol *symbol);

static inline enum chunk edit_frames(const struct edit *edit)
{
    return edit->frames_move ? CHUNK_RELRO_FRAMES : CHUNK_FRAMES;
}

static inline bool piece_is_loaded(const struct piece *piece)
{
    return piece->chunk != CHUNK_NONE;
}

// Of an address in the image: its file bytes.
static inline uint8_t *edit_at(const struct edit *edit, uint64_t vaddr)
{
    return edit->bytes + vaddr;
}

static inline bool chunk_is_nobits(enum chunk chunk)
{
    return chunk == CHUNK_TBSS || chunk == CHUNK_BSS
        || chunk == CHUNK_LARGE_BSS;
}

static inline bool chunk_is_code(enum chunk chunk)
{
    return chunk >= FIRST_OF_CODE && chunk < FIRST_OF_RELRO;
}

static inline bool chunk_is_readonly(enum chunk chunk)
{
    return chunk < FIRST_OF_CODE;
}

// -------------------------------------------------------- parts of images ---

// exports.c: DT_SYMTAB, DT_STRTAB and DT_GNU_HASH.
e64_status edit_import(struct edit *edit, struct symbol *symbol);
e64_status edit_count_dynamics(struct edit *edit);
void edit_write_dynamics(struct edit *edit);
// An entry of DT_RELA. Own addresses are first there.
void edit_dynamic(struct edit *edit, bool relative, uint64_t place,
                  uint32_t type, uint32_t symbol, uint64_t addend);
// The same of DT_JMPREL.
void edit_dynamic_call(struct edit *edit, uint64_t place, uint32_t type,
                       uint32_t symbol);
// A symbol as the image's tables have it.
Elf64_Sym edit_symbol(const struct edit *edit, const struct symbol *symbol);

// eh_frame.c: .eh_frame and the table of it (LSB, "Exception Frames").
e64_status edit_scan_frames(struct edit *edit, struct unit *unit,
                            uint32_t section);
void edit_silence_frames(struct edit *edit, const struct item *item);
e64_status edit_write_frame_index(struct edit *edit);

// statics.c: .symtab and the section headers.
// edit_count_statics says how large the file is with them.
void edit_count_statics(struct edit *edit);
void edit_write_statics(struct edit *edit);

// headers.c: ELF header, program headers, dynamic section.
uint64_t edit_headers_size(void);
uint64_t edit_dynamic_size(void);
void edit_write_headers(struct edit *edit);

#endif
