// Which of an object's symbols an address belongs to.

#ifndef ELF_SPANS_H
#define ELF_SPANS_H

#include "symbols.h"

// Goes through some of an object's symbols, always the same ones in the same
// order: elf_symbols_each is one of these.
typedef int elf_each(const struct elf_symbols *symbols,
                     int (*visit)(void *data, uint32_t index,
                                  const Elf64_Sym *symbol), void *data);

// The index of the symbol with the highest vaddr of those that reach the one
// that is given, or 0; of several with the same, the first. A symbol without a
// size has its own place alone or, when they are `open`, reaches to the next.
// What is thread-local or absolute lies at no address.
//
// Takes no lock and may be called by a signal handler. What is asked more than
// once is put in order then, for each table in one way: `each` does not change.
uint32_t elf_symbol_at(const struct elf_symbols *symbols, elf_each *each,
                       uint64_t vaddr, bool open, Elf64_Sym *symbol);

// Of a table that goes.
void elf_spans_free(struct elf_symbols *symbols);

#endif
