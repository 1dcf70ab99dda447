// Plans: a part of elf64load.h, which includes it.

#ifndef ELF64LOAD_PLAN_H
#define ELF64LOAD_PLAN_H

#ifndef ELF64LOAD_H
#error "include elf64load.h"
#endif

// All that e64_open would do, found out with nothing of it done. Files are
// looked for (the search hook is asked), read and checked, and each import is
// bound, by the same code that an open goes through; but nothing is mapped to
// be run: no constructor, no IFUNC resolver, and glibc opens nothing. What it
// would have to open is read as a file, as ld.so's search would find it.
//
// A plan is a value: it keeps nothing open, nothing from being closed, and what
// it tells stays as it was. All that it hands out lives as long as it does.
struct e64_plan;

// What the search for one object came upon.
typedef struct e64_probe {
    const char *path;   // the file that was tried
    const char *place;  // "DT_RUNPATH", "LD_LIBRARY_PATH", "ld.so.cache", ...
    const char *owner;  // whose DT_RPATH or DT_RUNPATH; NULL for other places
    e64_status result;  // E64_OK: taken; E64_NOTFOUND: not there; else why it
                        // was passed over or ended the search
} e64_probe;

// What becomes of an object of a plan.
typedef enum e64_plan_state {
    E64_PLAN_NEW = 0, // it is mapped, bound and started
    E64_PLAN_OPEN,    // the runtime has it open already
    E64_PLAN_HOST,    // the process has it, through glibc
    E64_PLAN_FAMILY,  // glibc opens it: of the host family, or needed by that
    E64_PLAN_ABSENT,  // it cannot be had: `status` and `message` say why
} e64_plan_state;

struct e64_plan_object;

// One name that an object needs.
typedef struct e64_need {
    const char *name;
    const char *kind; // "needed", "filter" or "auxiliary", as the DT_* has it
    const struct e64_plan_object *object;
} e64_need;

// One file, or one object of the process. Sizes are in bytes, and zero for all
// but E64_PLAN_NEW, which alone takes anything of them.
typedef struct e64_plan_object {
    const char *name;   // as it was asked for first
    const char *path;   // of its file; NULL when it is absent
    const char *soname; // DT_SONAME, or NULL
    e64_plan_state state;
    e64_status status;  // E64_OK unless it is absent
    const char *message;
    const struct e64_plan_object *wanter; // what asked for it first, or NULL
    const char *why;         // this object: "found by DT_RUNPATH of ./a.so"
    const e64_probe *probes; // in the order in which they were made
    size_t probe_count;
    const e64_need *needs;   // in file order
    size_t need_count;
    const e64_count *relocations; // by type: "R_X86_64_64"
    size_t relocation_count;
    uint64_t memory;     // address space that it takes
    uint64_t code;       // of it executable,
    uint64_t data;       // writable,
    uint64_t sealed;     // and writable until it is relocated (PT_GNU_RELRO)
    uint64_t tls_size;   // thread-local variables, in each thread
    uint64_t tls_align;
    uint8_t tls_fixed;   // they must lie at a fixed offset: in the pool
} e64_plan_object;

// One import and what it is bound to.
typedef struct e64_plan_binding {
    const e64_plan_object *wanter;
    const char *symbol;
    const char *version; // that is asked for, or NULL
    // NULL when nothing defines it: then its address is zero if it is weak, and
    // else the open fails.
    const e64_plan_object *provider;
    const char *provided; // version of the definition, or NULL
    // The second definition of the name in the scope, which is not used.
    const e64_plan_object *runner_up;
    const char *runner_up_version;
    uint64_t offset;     // of the definition: from the provider's base, or in
                         // its thread-local storage; of an IFUNC its resolver
    uint32_t index;      // of the import in the wanter's DT_SYMTAB
    uint32_t definition; // and of the definition in the provider's
    e64_kind kind;       // of the definition
    uint8_t weak;        // the import is
    uint8_t jump;        // for jumps and thread-local storage, where an
                         // executable's PLT entry is no definition
    uint8_t absolute;    // the definition is (SHN_ABS): `offset` is all of it
    uint8_t unique;      // the definition is STB_GNU_UNIQUE
    uint8_t vague;       // it and the runner-up are weak or unique, as what C++
                         // has in more than one file (inline functions) is
    uint8_t loader;      // this loader's own function stands in for it
    uint8_t intercepted; // what the policy says stands in for it
    uint8_t resolved;    // nothing defines it: the resolve hook answered
    uint8_t defined;     // the runtime defines it by itself: e64_define
    uint8_t denied;      // the policy says no, so that it has no provider
} e64_plan_binding;

// A name that more than one object of the scope defines, and somebody imports.
typedef struct e64_clash {
    const char *symbol;
    const char *version;
    const e64_plan_object *provider;
    const e64_plan_object *runner_up;
    uint8_t vague; // as of a binding: likely one thing, compiled twice
    const e64_plan_object *const *wanters;
    size_t wanter_count;
} e64_clash;

// What the open would fail for.
typedef struct e64_missing {
    // E64_UNDEFINED: a symbol that nothing defines. E64_DENIED with a symbol:
    // one that the policy denies. E64_VERSION: a version that `library` should
    // define. Else `library` cannot be had.
    e64_status status;
    const char *symbol;
    const char *version;
    const char *library;
    const char *message; // why it cannot be had
    const e64_plan_object *const *wanters;
    size_t wanter_count;
} e64_missing;

// The plan as a whole; sums over what is new.
typedef struct e64_plan_info {
    const char *name;
    e64_status status;   // what the open would fail with for what is missing,
    const char *message; // and what it would say; E64_OK and NULL if nothing is
    const e64_plan_object *root;
    size_t objects, bindings, clashes, missing, starts;
    const e64_count *relocations;
    size_t relocation_count;
    uint64_t memory, code, data, sealed;
    uint64_t tls_fixed;   // bytes of thread-local storage in the pool,
    uint64_t tls_dynamic; // and allocated by each thread that uses it
    uint64_t tls_room;    // what the pool can give in one piece
} e64_plan_info;

// Plans what e64_open would do with the same name and options. Fails for the
// root as e64_open does, but what is missing further on is listed: e64_missing.
E64_API e64_status e64_plan(e64_runtime *runtime, const char *name,
                            const e64_open_options *options,
                            struct e64_plan **plan, e64_error *error);

E64_API void e64_plan_describe(const struct e64_plan *plan,
                               e64_plan_info *info);

// Each calls `visit` until it answers non-zero, which is returned. Objects come
// in the order of the root's scope, then others that something is bound to;
// bindings by wanter in the order of its relocations; starts in the order in
// which constructors run.
E64_API int e64_plan_objects(const struct e64_plan *plan,
                             int (*visit)(void *data,
                                          const e64_plan_object *object),
                             void *data);
E64_API int e64_plan_bindings(const struct e64_plan *plan,
                              int (*visit)(void *data,
                                           const e64_plan_binding *binding),
                              void *data);
E64_API int e64_plan_clashes(const struct e64_plan *plan,
                             int (*visit)(void *data, const e64_clash *clash),
                             void *data);
E64_API int e64_plan_missing(const struct e64_plan *plan,
                             int (*visit)(void *data,
                                          const e64_missing *missing),
                             void *data);
E64_API int e64_plan_starts(const struct e64_plan *plan,
                            int (*visit)(void *data,
                                         const e64_plan_object *object),
                            void *data);

// Opens what was planned, and just that: the same files, unchanged, and each
// import bound as the plan has it. E64_CHANGED, with what is not any more as it
// was, when that cannot be; then nothing stays open. A plan may be committed
// once more when what it opened has been closed. Not after its runtime has been
// freed. Nothing is left to be bound at its first call: `lazy` counts for no
// plan.
E64_API e64_status e64_plan_commit(const struct e64_plan *plan,
                                   e64_plugin **plugin, e64_error *error);

E64_API void e64_plan_free(struct e64_plan *plan);

#endif
