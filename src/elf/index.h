// An archive's index on its way in.

#ifndef ELF_INDEX_H
#define ELF_INDEX_H

#include "archive.h"

// The table "/" or, with 64-bit words, "/SYM64/": how many names there are, for
// each the offset of the member that defines it, then the names themselves. The
// words are big-endian on every machine.
e64_status index_read(struct elf_archive *archive, const char *name,
                      struct view table, bool wide);

#endif
