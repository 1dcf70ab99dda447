// Where the host's objects keep the addresses of functions that they import,
// and how such a slot is pointed elsewhere.

#ifndef HOST_PATCH_H
#define HOST_PATCH_H

#include "host.h"

// Calls `visit` with each slot of the module's procedure linkage and global
// offset tables that is for the import `name`, whatever its version.
void host_slots(const struct host_module *module, const char *name,
                void (*visit)(void *data, void **slot), void *data);

// How the page of an address is protected now (PROT_*), as /proc/self/maps has
// it; -1 without that, or without a descriptor for it.
int host_protection(uintptr_t address);

// How the page of a slot of a module is, by its program headers: sealed, or
// writable.
int host_expected_protection(const struct host_module *module,
                             uintptr_t address);

// Writes a slot, atomically, whatever its page's protection, which is as before
// afterwards; `expected` where that cannot be found out. Fails when it cannot
// be changed.
//
// A slot that glibc has not bound yet would be overwritten by a call that is
// being bound: let it be bound first, by a call.
e64_status host_patch(void **slot, void *value, int expected);

#endif
