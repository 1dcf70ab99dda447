// Thread-local storage at fixed offsets, and TLS descriptors, for the files of
// this room.

#ifndef LINK_STORAGE_H
#define LINK_STORAGE_H

#include "reloc.h"

// Gives the storage that a symbol lies in a fixed place, before anything is
// written: what a relocation of that kind needs. Symbol 0 is the plugin's own.
// `dry`: only checks that there is any.
e64_status storage_place(struct link_unit *unit, uint32_t symbol, bool dry);

// The object whose storage that is, or NULL when nothing defines the symbol.
const struct elf_object *storage_definer(const struct link_unit *unit,
                                         uint32_t symbol);

// Writes an offset from the thread pointer to a place that has been checked.
e64_status storage_offset(const struct link_unit *unit, uint32_t type,
                          uint64_t place, uint32_t symbol, uint64_t addend);

// Makes room for the descriptors that resolving has counted.
e64_status storage_make_room(struct link_unit *unit);

// Writes a descriptor: a function and its argument.
e64_status storage_descriptor(struct link_unit *unit, uint64_t place,
                              uint32_t symbol, uint64_t addend);

#endif
