// The host: everything that glibc's loader has mapped. The only room that calls
// that loader, but for what plugins ask of it (forward.h), and never under a
// lock of ours.

#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdatomic.h>
#include <sys/types.h>

#include "../elf/object.h"

// A name to ask glibc's dlsym for.
struct host_probe {
    struct host_probe *next;
    char text[];
};

// One object that glibc has mapped. Records are counted: a snapshot holds its
// modules, whoever binds to one holds it too.
struct host_module {
    struct elf_object object;
    struct elf_symbols symbols;
    char *path;          // as glibc has it; the executable's from /proc
    const Elf64_Dyn *dynamic;
    uintptr_t sealed_start, sealed_end; // the pages of PT_GNU_RELRO
    const char **needed; // DT_NEEDED, in file order
    uint32_t needed_count;
    // Found out by whoever takes a snapshot; they never turn false again.
    atomic_bool startup; // mapped before the process started: never unloaded
    atomic_bool global;  // in glibc's global scope
    atomic_bool visited; // for the sake of unwinders: detour.h
    bool vdso;    // in no scope of ld.so
    struct host_file *foreseen; // what is only read as a file; else NULL
    atomic_uint rank; // among the global ones that came after startup
    _Atomic(struct host_probe *) probe; // the last one: global.c
    _Atomic(void *) handle; // dlopen's, while somebody keeps it
    _Atomic int64_t tls_offset; // of its block from the thread pointer, or 0
    atomic_int identified; // 1: device and inode are known; -1: cannot be
    _Atomic dev_t device; // two threads may find the same
    _Atomic ino_t inode;
    atomic_uint count;
};

// What glibc had mapped at one moment: immutable.
struct host_snapshot {
    atomic_uint count;
    uint64_t adds, subs; // glibc's counts of objects ever added and removed
    struct host_module **modules; // in glibc's order
    uint32_t module_count;
    const struct elf_object **globals; // glibc's global scope, in order
    uint32_t global_count;
    _Atomic(struct hash_set *) defined; // by them, when it has paid
};

// The state of this moment. Give it back with host_snapshot_release. What was
// not there at startup may be closed by the host from now on: only the records
// may be read, not what they lead to.
e64_status host_snapshot(struct host_snapshot **snapshot);
struct host_snapshot *host_snapshot_retain(struct host_snapshot *snapshot);
void host_snapshot_release(struct host_snapshot *snapshot);

// What the globals define. NULL when it has not been made and so many lookups
// do not pay for it, or when it cannot be.
const struct hash_set *host_defined(struct host_snapshot *snapshot,
                                    uint64_t lookups);

// The state of some moment before, of which the first *count globals may be
// looked into without more ado: they stand before all others and never go. NULL
// when there was none. To be given back likewise.
struct host_snapshot *host_snapshot_lasting(uint32_t *count);

// Has nothing been opened or closed by glibc since?
bool host_snapshot_current(const struct host_snapshot *snapshot);

// Handles on all that the host could close.
struct host_hold {
    void **handles;
    uint32_t count;
};

// The same, and nothing of it is unmapped until host_let_go, which may run the
// destructors of what the host has closed meanwhile. E64_CHANGED when the host
// opens and closes without a pause.
e64_status host_hold(struct host_snapshot **snapshot, struct host_hold *hold);
void host_let_go(struct host_hold *hold);

// The module that a DT_NEEDED or dlopen name stands for, by ld.so's rules: the
// path it was opened by, its DT_SONAME, or without one its base name.
struct host_module *host_find(const struct host_snapshot *snapshot,
                              const char *name);

// The module that was mapped from that file, or NULL. Fails when that cannot be
// found out.
e64_status host_find_file(const struct host_snapshot *snapshot, dev_t device,
                          ino_t inode, struct host_module **found);

// A snapshot of one's own, to which may be added what glibc is going to open.
e64_status host_snapshot_copy(const struct host_snapshot *snapshot,
                              struct host_snapshot **copy);

// Adds the module that glibc would make of a file, which is read and taken over
// in any case. It lies at address 0.
struct elf_file;
e64_status host_foresee(struct host_snapshot *copy, struct elf_file *file,
                        struct host_module **module);
// Takes back those that were added last.
void host_unforesee(struct host_snapshot *copy, uint32_t module_count);
// What such a module was read from.
struct elf_image;
const struct elf_image *host_foreseen_image(const struct host_module *module);
const struct elf_file *host_foreseen_file(const struct host_module *module);

struct host_module *host_containing(const struct host_snapshot *snapshot,
                                    uintptr_t address);

// Is it a library that must always be glibc's?
bool host_is_family(const char *name);
// Of these libgcc_s and libstdc++ are looked for by our own search first.
bool host_is_compiler_family(const char *name);

// Lets glibc open a library of the host family, RTLD_LOCAL: E64_NOTFOUND with
// glibc's own message when it cannot. Keeps it open for good.
e64_status host_open(const char *path);

// Keeps a module from being unloaded by the host's dlclose, and lets it go.
// What was there at startup needs no keeping. E64_CHANGED when it is gone.
e64_status host_keep(struct host_module *module);
void host_unkeep(struct host_module *module);

// Keeps what this loader is part of from being unmapped, however often its own
// opener closes it.
void host_pin_loader(void);

// The definition of an STB_GNU_UNIQUE symbol that glibc has entered for the
// process, asked of a module that defines it; NULL when glibc knows none.
void *host_unique(const struct host_module *module, const char *name);

static inline struct host_module *
host_module_of(const struct elf_object *object)
{
    return (struct host_module *)object; // object is its first member
}

// A pointer of the module's dynamic section as an address: glibc has relocated
// some of them.
static inline uintptr_t host_address(const struct host_module *module,
                                     uint64_t pointer)
{
    const struct elf_object *object = &module->object;
    return pointer >= object->start && pointer < object->end
         ? pointer : object->bias + pointer;
}

// For host/*.c.

// What ran out when glibc's loader failed for this reason, in its words: an
// errno; 0 when it was something else.
int host_shortage(const char *reason);

struct dl_phdr_info;
struct host_module *host_module_read(const struct dl_phdr_info *info);
void host_module_release(struct host_module *module);
e64_status host_mark_globals(struct host_snapshot *snapshot);
void host_foreseen_free(struct host_file *file);
// Another handle of glibc's on what is open; NULL when it is not.
e64_status host_reopen(const struct host_module *module, void **handle);
e64_status host_snapshot_collect(const struct host_snapshot *before,
                                 struct host_snapshot **collected);
struct host_snapshot *host_snapshot_cached(void); // or NULL
void host_snapshot_cache(struct host_snapshot *snapshot);
// Has dlopen(RTLD_NOLOAD | RTLD_GLOBAL) made one global that was not? glibc's
// counts do not show it.
bool host_promoted(const struct host_snapshot *snapshot);

#endif
