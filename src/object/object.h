// A link editor in memory: makes object files and archives into the image of
// one shared object (ET_DYN), as `ld -shared -Bsymbolic` makes it, which then
// is mapped and bound like any other.
//
// What the objects define binds to itself; what none of them defines is an
// import without a version, by which the default one is meant. Words that need
// what is known only once the image has its place, and that no shared object
// may hold, are relocations of text (DT_TEXTREL) all the same: of the types
// R_X86_64_32, 32S, 16, 8, PC32, PC64, PC16, PC8 and TPOFF32. Those of an own
// address have symbol 0 and the vaddr as addend.

#ifndef OBJECT_OBJECT_H
#define OBJECT_OBJECT_H

#include "../elf/file.h"

// One object file or archive, opened. Objects are taken as they stand. Archives
// are ld's: searched once, where they stand on the list, for what is undefined
// by then, again and again until nothing more is pulled. Where the list has no
// object at all, its archives are taken whole.
//
// A thin archive's members are files of their own, which `open` opens; NULL:
// elf_file_open_path does. None of them is linked twice.
struct object_input {
    const struct elf_file *file; // its name is for messages
    bool whole; // an archive: all of its members, needed or not
    e64_status (*open)(void *data, const char *path, struct elf_file *file);
    void *data;
};

// What stands in the place of a section that is not in the image.
#define OBJECT_NOWHERE UINT64_MAX

// One object that is in the image.
struct object_part {
    char *name;         // "a.o"; of an archive's member "libm.a(sin.o)"
    struct view file;   // its bytes, in those of the input
    uint64_t *sections; // vaddr by section index, or OBJECT_NOWHERE
    uint32_t section_count;
};

// How many bytes a stub may have.
enum { OBJECT_STUB_SIZE = 64 };

// A word that may turn out to be too narrow for what it refers to, which is
// not the image's own (that is near, where the image is `low` if it must be):
// the place of a relocation in DT_RELA. It is in code, or in what unwinding
// reads, where a jump to a function or a copy of a constant does as well.
struct object_far {
    uint64_t place; // vaddr of the word
    uint64_t stub;  // vaddr of OBJECT_STUB_SIZE bytes, which are with code
    uint64_t code;  // vaddr from which instructions lead to it, one by one;
                    // OBJECT_NOWHERE: it is data
};

struct object_image {
    // The bytes, in a sealed memfd where there is one; what elf_image_read and
    // mapping work on. It says nothing of its identity.
    struct elf_file file;
    bool low;        // holds R_X86_64_32 or 32S: belongs below 2 GB
    bool relocates_text; // has a DT_TEXTREL
    struct object_far *fars; // ascending by place
    uint32_t far_count;
    struct object_part *parts; // in the order in which they were linked
    uint32_t part_count;
    struct elf_file *opened; // members of thin archives
    uint32_t opened_count;
};

// Where a vaddr of the image comes from. The texts are the part's.
struct object_where {
    const struct object_part *part;
    const char *section; // ".text"
    uint32_t index;      // of the section
    uint64_t offset;     // in the section
};

// Links the inputs. The name is the image's, for its memory and messages. The
// inputs must stay open as long as the image is asked of its parts.
//
// E64_BADFORMAT, E64_BADARCH and E64_UNSUPPORTED for what is no proper object,
// E64_DUPLICATE for two definitions, E64_UNDEFINED for a hidden symbol without
// one.
e64_status object_link(const struct object_input *inputs, uint32_t count,
                       const char *name, struct object_image *image);

// False when no part of an object lies there.
bool object_find(const struct object_image *image, uint64_t vaddr,
                 struct object_where *where);

// Frees all but the file, which the caller may have taken over: then it closes
// that too. A zeroed struct may be freed.
void object_image_free(struct object_image *image);

#endif
