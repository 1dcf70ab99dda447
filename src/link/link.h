// Maps and binds: turns the image of a file into a relocated plugin. Works from
// tables that it is handed; which files, and in what order, is decided in run/.

#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "../elf/file.h"
#include "../elf/image.h"
#include "../elf/object.h"
#include "../object/object.h"

// ------------------------------------------------------------- bindings ---

// The class of lookup that a relocation's symbol needs.
enum link_class { LINK_CLASS_ANY = 0, LINK_CLASS_DEFINED = 1 };

// How an import came to what it got.
enum link_via {
    LINK_VIA_SCOPE = 0, // by its scope: the definition is what it got
    LINK_VIA_OVERRIDE,  // ours, in place of the host's definition
    LINK_VIA_INTERCEPT, // the policy's, in place of the definition, if any
    LINK_VIA_HOOK,      // nothing defines it: what the resolve hook answered
    LINK_VIA_DEFINED,   // a definition of the runtime's own, which is not kept
    LINK_VIA_DENIED,    // in a plan: the policy says no, and it got nothing
};

// One import and the definition that it got.
struct link_binding {
    const struct elf_object *definer; // NULL: a weak import without one
    uint32_t symbol;                  // in the wanter's symbol table
    uint32_t definition;              // in the definer's
    uint64_t value; // address, offset of a TLS symbol, or IFUNC resolver
    uint64_t size;  // st_size of the definition
    uint64_t original; // what the policy has replaced by `value`
    uint8_t type;      // STT_* of the definition
    uint8_t class;     // enum link_class
    uint8_t via;       // enum link_via; `definition` is 0 where there is none
    bool asked;        // the IFUNC resolver: value is what it has answered
    bool unique;       // the definition is STB_GNU_UNIQUE
    bool undefined;    // nothing in the scope defines it
};

// The same in the table, where there may be tens of thousands: what the symbol
// tables say anyway is left out.
struct link_entry {
    uint64_t value;
    uint32_t definition;
    uint16_t definer; // its number
    uint8_t type;
    uint8_t via : 3;
    uint8_t asked : 1;
    uint8_t unique : 1;
    uint8_t undefined : 1;
};

// The numbers of two definers, and how many numbers there are.
enum { LINK_NOBODY = 0, LINK_SELF = 1, LINK_DEFINERS = 1 << 16 };

// What an entry has no room for: `size` of what a hook answered, `original` of
// what the policy replaced.
struct link_extra {
    uint32_t entry;
    uint64_t value;
};

// Where the entries of 64 symbols in a row are, of which any has one.
struct link_first {
    uint32_t base;
    uint8_t first[64]; // behind it, of each symbol that has any
};

// The imports among 64 symbols in a row, a bit each.
struct link_word {
    uint64_t wanted[2]; // by class
    // Bound to the plugin's own symbol, as nothing else defines the name: most
    // are, in C++, and so they have no entry in the table.
    uint64_t own;
    uint32_t first; // which of the bindings' `first` is theirs
};

// The bindings of one plugin: made by link_resolve, then only read (but for
// what the resolvers of IFUNCs answer).
struct link_bindings {
    // Ascending by symbol and class. While it is being bound, as what finds a
    // symbol among them; then `kept` stands for it, and for the extras.
    struct link_entry *all;
    uint32_t count, room;
    size_t mapped; // for a large one, which goes back to the kernel; or 0
    struct link_first *first;
    uint32_t first_count, first_room;
    struct link_extra *extras; // ascending by entry
    uint32_t extra_count, extra_room;
    uint32_t *kept;
    // By their numbers, of which each stands for one.
    const struct elf_object **definers;
    uint32_t definer_count, definer_room;
    struct link_word *words;
    uint32_t symbols; // that the words are for
    uint32_t imports; // own ones, too
    uint32_t undefined; // no fewer than it does not define itself, from
                        // link_bindings_new on
    bool unique;      // some definition is STB_GNU_UNIQUE
};

// ----------------------------------------------------------------- unit ---

// A relocation that waits for an IFUNC resolver to run.
struct link_deferred {
    uint64_t place; // vaddr
    uint64_t resolver;
    uint64_t addend;
    uint32_t type;
    uint32_t symbol;
};

// What is called through the PLT may be bound when it is first called (gABI,
// "Procedure Linkage Table").
struct link_lazy {
    // Wanted by the room above before link_resolve, which takes it back from a
    // file that says no (DT_BIND_NOW) or has no DT_PLTGOT.
    bool wanted;
    // What the PLT hands on to `entry` together with the number of the
    // relocation in DT_JMPREL.
    void *owner;
    void (*entry)(void);
};

// Types above are none that an object for this machine may hold.
enum { LINK_TYPES = 64 };

// One plugin's mapping and all that binding it needs.
struct link_unit {
    struct elf_object object;
    struct elf_image image;
    struct elf_file file;
    // What the link editor says of the image that it made; NULL for a file.
    // Until link_apply_deferred is done.
    const struct object_image *made;
    void *memory; // of its segments
    uint64_t size;
    bool mapped; // all of its segments are
    uint64_t tls_module;
    struct link_bindings bindings;
    bool applied; // what it is bound to is there to be told
    struct link_deferred *deferred;
    uint32_t deferred_count, deferred_room;
    struct tls_descriptor *descriptors; // that TLSDESC arguments point to
    uint32_t descriptor_count, descriptor_room;
    uint32_t counts[LINK_TYPES]; // relocations that were applied, by type
    uint64_t relr_count;         // and words of DT_RELR
    struct link_lazy lazy;
};

// The relocation type that asks for an offset from the thread pointer.
uint32_t link_static_tls_type(void);

// The name of a relocation type: "R_X86_64_64".
const char *link_type_name(uint32_t type);

struct host_snapshot;
struct link_positions;

// The ordered lists in which a unit's imports are looked up.
struct link_scope {
    const struct elf_object *const *lists[6];
    uint32_t counts[6];
    uint32_t count;
    const struct link_positions *positions; // or NULL
    struct host_snapshot *host; // whose globals are the first list, or NULL
    // What is on the lists and does not count, or NULL: all does.
    bool (*skip)(void *data, const struct elf_object *object);
    void *data; // for it
};

// What resolving asks of the room above.
struct link_context {
    // What plugins get from us though the host defines the name, which has
    // that elf_gnu_hash; or NULL.
    void *(*override)(const char *name, uint32_t hash);
    // Of an STB_GNU_UNIQUE definition that was found, the one that counts:
    // replaces definer and value.
    e64_status (*unique)(void *data, const char *name,
                         struct link_binding *binding);
    // What the policy has to say to an import that leaves the unit, or that
    // nothing defines: it changes the binding, or leaves it. `wanter` of the
    // import is NULL here. NULL: there is no policy.
    e64_status (*decide)(void *data, struct link_unit *unit,
                         const e64_import *import,
                         struct link_binding *binding);
    // The object that a DT_VERNEED file name stands for, or NULL.
    const struct elf_object *(*find)(void *data, const char *file);
    // Told of a symbol of the unit that nothing defines though it is not weak
    // (once or twice), and of one of its versions that the object does not
    // define: the unit is not to be applied then. link_bind needs neither.
    void (*missing)(void *data, const struct link_unit *unit,
                    uint32_t symbol);
    void (*old)(void *data, const struct link_unit *unit, uint32_t version,
                const struct elf_object *object);
    // For a plan, else NULL: is it known that the file is missing? Then it is
    // no fault that `find` has none, and no storage is given a place.
    bool (*absent)(void *data, const struct link_unit *unit, const char *file);
    void *data;
};

// An index of a scope that many units look names up in, for its `positions`.
// Neither the objects nor their order may change while it is used.
e64_status link_positions_new(const struct link_scope *scope,
                              struct link_positions **made);
void link_positions_free(struct link_positions *positions);

// Reads the file of the unit (unit->file is open) and checks all of it.
e64_status link_read(struct link_unit *unit);

// Maps its segments, gives it a TLS module. What the link editor made goes
// below 2 GB if it says so.
e64_status link_map(struct link_unit *unit);

// Finds the definition of each import, tells the context of what is missing.
// Writes nothing and runs nothing.
e64_status link_resolve(struct link_unit *unit, const struct link_scope *scope,
                        const struct link_context *context);

// The same for one symbol that has waited for its first call. A name that
// nothing in the scope defines is no failure: the binding has no definer.
e64_status link_bind(struct link_unit *unit, const struct link_scope *scope,
                     const struct link_context *context, uint32_t symbol,
                     struct link_binding *binding);

// The slot and the symbol of a relocation of DT_JMPREL, by its number; false
// when it is none that can have waited.
bool link_slot(const struct link_unit *unit, uint64_t number, uint64_t **slot,
               uint32_t *symbol);

// After it: the first definition of an import in another object than the one
// that it is bound to. False when there is none.
bool link_runner_up(const struct link_unit *unit,
                    const struct link_scope *scope,
                    const struct link_binding *binding,
                    const struct elf_object **object, uint32_t *definition);

// Walks through all imports, ascending by symbol and class.
struct link_walk {
    uint32_t symbol, class; // of the next one
    uint32_t entry;         // in `all`
    uint32_t at;            // in `kept`
};
bool link_next(const struct link_unit *unit, struct link_walk *walk,
               struct link_binding *binding);

// Is the symbol imported, of any class?
bool link_imports(const struct link_unit *unit, uint32_t symbol);

// What applying will count, in unit->counts and unit->relr_count. `places` is
// told of each object whose thread-local storage must have a fixed place, as
// often as that is said. After link_resolve.
void link_survey(struct link_unit *unit,
                 void (*places)(void *data, const struct elf_object *definer),
                 void *data);

// What mapping takes, in bytes.
struct link_memory {
    uint64_t all, code, data, sealed;
};
void link_measure(const struct link_unit *unit, struct link_memory *memory);

// All that is going to be bound is: from here on the bindings are there to be
// looked at, in a quarter of the memory. Cannot fail.
void link_bindings_keep(struct link_bindings *bindings);

// Applies all relocations but those that need an IFUNC resolver of a plugin.
e64_status link_apply(struct link_unit *unit);

// Runs IFUNC resolvers for what was deferred. What has failed may be tried
// again.
e64_status link_apply_deferred(struct link_unit *unit);

// The image of thread-local variables is complete, unless part of it waits for
// an IFUNC resolver: variables at fixed offsets are written to all threads.
e64_status link_publish_tls(struct link_unit *unit);

// From here on something of it may run, or be written to.
void link_use(struct link_unit *unit);

// Gives the segments their final protection, closes the file.
e64_status link_settle(struct link_unit *unit);

// PT_GNU_RELRO becomes read-only.
e64_status link_seal(struct link_unit *unit);

// Undoes whatever was done.
void link_free(struct link_unit *unit);

// --------------------------------------------- for the files of this room ---

// Is there an import of that symbol and class?
static inline bool link_wants(const struct link_bindings *bindings,
                              uint32_t symbol, enum link_class class)
{
    return symbol < bindings->symbols
        && bindings->words[symbol / 64].wanted[class] >> symbol % 64 & 1;
}

// Is it bound to the plugin's own symbol?
static inline bool link_is_own(const struct link_bindings *bindings,
                               uint32_t symbol)
{
    return bindings->words[symbol / 64].own >> symbol % 64 & 1;
}

// The entry of one that is wanted, and not the plugin's own; until
// link_bindings_keep.
static inline struct link_entry *
link_entry(const struct link_bindings *bindings, uint32_t symbol,
           enum link_class class)
{
    const struct link_first *first
        = &bindings->first[bindings->words[symbol / 64].first];
    uint32_t entry = first->base + first->first[symbol % 64];
    if (class == LINK_CLASS_DEFINED)
        entry += link_wants(bindings, symbol, LINK_CLASS_ANY);
    return &bindings->all[entry];
}

// The binding of an import, its own ones included; slow after
// link_bindings_keep. False when there is no such import.
bool link_binding(const struct link_unit *unit, uint32_t symbol,
                  enum link_class class, struct link_binding *binding);

// Begins with the two definers that there always are.
e64_status link_bindings_new(struct link_unit *unit);
// All are entered: the room that is left is given back.
e64_status link_bindings_trim(struct link_bindings *bindings);
// Enters the next one of those that are not the plugin's own; and one of which
// there is nothing to be said but what defines it.
e64_status link_enter(struct link_unit *unit,
                      const struct link_binding *binding);
e64_status link_enter_found(struct link_unit *unit,
                            const struct elf_object *definer, uint32_t number,
                            uint32_t definition, const Elf64_Sym *symbol);
// The number of a definer, which it gets when it has none.
e64_status link_number(struct link_unit *unit,
                       const struct elf_object *definer, uint32_t *number);
void link_bindings_free(struct link_bindings *bindings);
void link_deferred_free(struct link_unit *unit);

// Decides whether the unit's slots can wait at all.
void lazy_decide(struct link_unit *unit);
// Can that slot, of a relocation of DT_JMPREL?
bool lazy_waits(const struct link_unit *unit, uint64_t place);
// Points the slot to the PLT, and the PLT to the entry.
void lazy_point(const struct link_unit *unit, uint64_t place);
void lazy_enter(const struct link_unit *unit);

// Makes the segments that text relocations write to writable, and not.
e64_status link_open_text(struct link_unit *unit);
e64_status link_close_text(struct link_unit *unit);

#endif
