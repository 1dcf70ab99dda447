// One ET_DYN file, read and checked: what mapping and binding need to know.

#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include "symbols.h"

// One segment that is loaded (gABI "Program Header", PT_LOAD).
struct elf_load {
    uint64_t vaddr;
    uint64_t filesz;
    uint64_t memsz;
    uint64_t offset;
    uint32_t flags; // PF_R, PF_W, PF_X
};

struct elf_range {
    uint64_t vaddr;
    uint64_t size; // bytes; 0: there is none
};

struct elf_filter {
    uint32_t name; // in strtab
    bool auxiliary; // DT_AUXILIARY: may be missing
};

// A table's own copy, in a list.
struct elf_copy {
    struct elf_copy *next;
    uint8_t bytes[];
};

// The tables of relocations, in the file.
struct elf_relocations {
    struct view rela;
    uint64_t relatives; // that rela begins with, by DT_RELACOUNT
    struct view jmprel;
    struct view relr;
};

struct elf_image {
    struct view file;
    struct elf_load *loads; // ascending by vaddr
    uint32_t load_count;
    uint64_t start; // lowest vaddr, down to its page
    uint64_t end;   // highest vaddr + memsz, up to its page
    uint64_t align; // largest p_align of a PT_LOAD, at least a page
    uint64_t note_room; // how many bytes of notes may still be read

    struct elf_range relro;
    struct elf_range dynamic;
    struct elf_range headers; // PT_PHDR's table where it is loaded
    uint32_t header_count;
    struct elf_range unwind;  // PT_GNU_EH_FRAME
    struct elf_range tls;     // its image; size is p_filesz
    uint64_t tls_size;        // p_memsz
    uint64_t tls_align;       // p_align, at least 1
    bool has_tls;

    struct elf_symbols symbols;
    struct elf_relocations relocations;
    bool text_relocations; // DT_TEXTREL, DF_TEXTREL
    bool symbolic;         // DT_SYMBOLIC, DF_SYMBOLIC
    bool bind_now;         // DT_BIND_NOW, DF_BIND_NOW
    bool go;               // holds Go code
    uint64_t flags_1;      // DF_1_*

    uint32_t soname, rpath, runpath; // in strtab; 0: absent
    uint32_t *needed;                // in strtab, in file order
    uint32_t needed_count;
    struct elf_filter *filters;
    uint32_t filter_count;

    uint64_t init, fini; // vaddr; 0: absent
    uint64_t plt_slots;  // vaddr of DT_PLTGOT; 0: absent
    struct elf_range init_array, fini_array;

    struct elf_copy *copies; // of tables that lie in writable segments
};

// Reads and checks a file. E64_BADFORMAT, E64_BADARCH or E64_UNSUPPORTED with
// the name of the field that is wrong. `name` is for messages.
e64_status elf_image_read(struct view file, const char *name,
                          struct elf_image *image);

// The bytes of the file that are loaded at [vaddr, vaddr + size).
bool elf_image_at(const struct elf_image *image, uint64_t vaddr, uint64_t size,
                  struct view *view);

// The same from a vaddr to the end of what its segment holds of the file.
bool elf_image_from(const struct elf_image *image, uint64_t vaddr,
                    struct view *view);

// The segment that [vaddr, vaddr + size) lies in, .bss included, or NULL.
const struct elf_load *elf_image_load(const struct elf_image *image,
                                      uint64_t vaddr, uint64_t size);

// Are all tables of symbols and relocations in segments that are read only?
bool elf_image_is_constant(const struct elf_image *image);

// Points the tables of symbols and relocations at the mapped segments instead
// of the file. Those in segments that the plugin or its relocations may write
// to stay as they are. `bias` is what turns a vaddr into an address.
void elf_image_move(struct elf_image *image, uintptr_t bias);

// After it: copies the tables of symbols that have stayed, so that the file may
// be closed and what was checked stays true. Of the relocations those of the
// PLT stay, if they are needed `later`.
e64_status elf_image_settle(struct elf_image *image, bool later);

void elf_image_free(struct elf_image *image);

#endif
