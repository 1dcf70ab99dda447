// Go code in a file: what Go's linker leaves there, by which it is known.

#ifndef ELF_GO_H
#define ELF_GO_H

#include "symbols.h"

// Has the PT_NOTE segment the note that Go's linker writes (owner "Go", type 4:
// the build id of the program)?
bool elf_has_go_note(struct view notes, uint64_t align);

// Does it define what all Go code has that C can call? A file without the note
// (-ldflags=-buildid=) is known by that.
bool elf_has_go_entry(const struct elf_symbols *symbols);

// A symbol by which the files of -buildmode=plugin are known: they hold all of
// the runtime that they use, but for what starts one, and bind to the one that
// is running.
#define ELF_GO_RUNTIME "runtime.firstmoduledata"
bool elf_is_go_plugin(const struct elf_symbols *symbols);

#endif
