// What this system's ld.so has compiled in, and what it makes of the processor.

#ifndef RUN_LDSO_H
#define RUN_LDSO_H

#include "../elf/cache.h"

enum {
    LDSO_FOLDERS = 20, // three of glibc-hwcaps, the sixteen older ones
    LDSO_FOLDER_SIZE = 40,
};

struct ldso {
    const char *const *defaults; // folders, each ending in '/'; NULL at the end
    const char *lib;             // $LIB
    const char *cache_path;
    struct elf_cache_machine machine;
};

// `mask` says which of the older hwcap folders may be used
// (glibc.cpu.hwcap_mask); UINT64_MAX gives glibc's default.
void ldso_read(uint64_t mask, struct ldso *ldso);

// What depends on who made the processor.
struct ldso_processor {
    const char *platform; // $PLATFORM, or NULL
    struct elf_cache_bits bits;
    // What is tried below each folder of a search, in this order: a path that
    // ends in '/', or "" for the folder itself, which is the last.
    char below[LDSO_FOLDERS][LDSO_FOLDER_SIZE];
    uint32_t below_count;
};

// After ldso_read. The processor itself is asked when this is first needed,
// which takes long in a virtual machine.
const struct ldso_processor *ldso_processor(void);

#endif
