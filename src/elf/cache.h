// ld.so.cache: which file ldconfig has found for which name. There is no
// specification; the layout is that of glibc 2.36's ldconfig (format 1.1 with
// its extensions) and, before it in the same file or alone, the older one.

#ifndef ELF_CACHE_H
#define ELF_CACHE_H

#include "view.h"

// Older bits that an entry may ask for.
struct elf_cache_bits {
    uint64_t hwcap;
    uint64_t platforms; // those of the bits that name a platform
    uint64_t platform;  // the one of them that is this processor's, or 0
};

// What an entry must suit to be of use here.
struct elf_cache_machine {
    int32_t flags;            // the kind of library that ldconfig wrote down
    uint32_t levels;          // bit n: this processor has ISA level n
    // Asked for the sake of an entry that wants some of them, which few do.
    struct elf_cache_bits (*bits)(void);
    const char *const *names; // of the folders under glibc-hwcaps that are in
    uint32_t name_count;      // use, the best one first
};

// The path of the best entry for `name`, or NULL. The bytes are not trusted;
// what is malformed gives NULL. The path lies in them.
const char *elf_cache_find(struct view cache,
                           const struct elf_cache_machine *machine,
                           const char *name);

// Calls `visit` with the name and path of each entry of the machine's kind,
// whatever else it asks of the processor, until it answers false.
void elf_cache_each(struct view cache, const struct elf_cache_machine *machine,
                    bool (*visit)(void *data, const char *name,
                                  const char *path),
                    void *data);

#endif
