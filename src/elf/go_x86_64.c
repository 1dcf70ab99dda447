// Knows Go code by its note and its symbols.

#include "go.h"

#include "notes.h"

static bool is_go(void *data, const Elf64_Nhdr *note, const uint8_t *name,
                  struct view description)
{
    enum { GO_BUILD_ID = 4 };
    bool *found = data;
    (void)description;
    *found = note->n_type == GO_BUILD_ID && note->n_namesz == 4
          && memcmp(name, "Go\0", 4) == 0;
    return !*found;
}

bool elf_has_go_note(struct view notes, uint64_t align)
{
    bool found = false;
    elf_notes_each(notes, align, is_go, &found);
    return found;
}

static bool defines(const struct elf_symbols *symbols, const char *text)
{
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    return elf_find(symbols, &name, ELF_WANT_DEFINED, &symbol) != 0;
}

bool elf_has_go_entry(const struct elf_symbols *symbols)
{
    // By which C enters Go, in the package runtime/cgo.
    return defines(symbols, "crosscall2");
}

bool elf_is_go_plugin(const struct elf_symbols *symbols)
{
    return defines(symbols, ELF_GO_RUNTIME)
        && !defines(symbols, "_rt0_amd64_linux_lib");
}
