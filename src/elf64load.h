// elf64load: a dynamic linker that a program carries inside itself.
//
// It opens ELF64 shared objects ("plugins") on x86-64 Linux, in a process that
// glibc's own loader started (the "host"). Whatever glibc has mapped already is
// used as it is and never mapped a second time.
//
//     e64_runtime *runtime;
//     e64_plugin *plugin;
//     if (e64_runtime_new(NULL, &runtime, NULL) != E64_OK
//         || e64_open(runtime, "libz.so.1", NULL, &plugin, NULL) != E64_OK)
//         puts(e64_last_error()->message);
//
// Conventions that hold for every function here:
//
// - A function that can fail returns an e64_status. It fills the caller's
//   e64_error when one is given, and the calling thread's last error when not.
// - A NULL where none may be is E64_INVALID. A function that returns no status
//   does nothing then: it answers 0 or NULL, or fills in zeros.
// - Option structs begin with `struct_size`, which the caller sets to the size
//   that it was compiled with. They grow at the tail; zero means default.
// - Nothing prints and nothing exits. Messages go to the log callback.
// - Strings that are passed in are copied; strings that are handed out belong
//   to the object that they were asked of and live as long as it does.
// - Functions may be called from any thread, at the same time. A file is mapped
//   and started once; a second thread that opens it waits until it has been
//   started. Where threads would wait for each other, and in a constructor that
//   glibc's dlopen has called, it is given as it stands. A runtime is freed
//   when no other thread is using it.
// - A child of fork may go on with all of it. What other threads were starting
//   or stopping there stays as it was.

#ifndef ELF64LOAD_H
#define ELF64LOAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define E64_VERSION_MAJOR 0
#define E64_VERSION_MINOR 1
#define E64_VERSION_PATCH 0

#define E64_API __attribute__((visibility("default")))

// ---------------------------------------------------------------- errors ---

// What went wrong, as a kind that a program can act upon. The texts of
// messages may change; these do not.
typedef enum e64_status {
    E64_OK = 0,
    E64_NOTFOUND,    // no file of that name where it was looked for
    E64_BADFORMAT,   // not ELF64, or a table in the file is malformed
    E64_BADARCH,     // ELF, but not for AMD64
    E64_UNSUPPORTED, // well formed, but not to be loaded: COPY, PIE, ...
    E64_UNDEFINED,   // a symbol that nothing defines
    E64_VERSION,     // a needed file is there, and lacks a version
    E64_DENIED,      // the policy says no
    E64_NOMEMORY,    // memory, or space for thread-local storage, ran out
    E64_SYSTEM,      // a system call failed; see e64_error.system_errno
    E64_HOOK,        // a hook failed
    E64_START,       // a constructor could not be run
    E64_INUSE,       // something still needs it
    E64_DUPLICATE,   // defined twice
    E64_CHANGED,     // the world is not any more as it was planned
    E64_CLOSED,      // the plugin has been stopped
    E64_INVALID,     // the caller's mistake: a NULL where none may be, ...
} e64_status;

// The name of a kind as Lua gives it: "notfound", "badformat", ... Never NULL.
E64_API const char *e64_status_name(e64_status status);

// One failure. The strings lie in `storage`, so there is nothing to free, and
// the struct must not be copied. Fields that do not apply are NULL or zero. It
// needs no initialising, and what succeeds leaves it as it was.
typedef struct e64_error {
    e64_status status;
    int system_errno;           // errno of the system call that failed
    const char *message;        // who wanted what, where it was looked for
    const char *wanter;         // the plugin on whose behalf
    const char *path;           // the file that it is about; when a search
                                // found none, the last path that it tried
    const char *symbol;         // the symbol that it is about
    const char *version;        // its version
    const char *const *scopes;  // NULL-terminated: where it was looked for
    const char *const *near;    // NULL-terminated: names much like it
    // NULL-terminated: all symbols that are missing, or as many as fit; and who
    // wants each of them, and of which version ("" without).
    const char *const *missing;
    const char *const *missing_wanters;
    const char *const *missing_versions;
    const char *const *versions; // NULL-terminated: what there is instead
    const char *demangled;      // the symbol as C++ has it, if it is C++
    const char *advice;         // what to do about it
    size_t used;                // bytes of storage in use
    char storage[8192];
} e64_error;

// The calling thread's last error that no e64_error was given for. Never NULL;
// status is E64_OK when nothing failed yet. Valid until the thread's next
// failure. What a lookup has not found is put into words only here: that takes
// a thousand times as long as to know that it is not there.
E64_API const e64_error *e64_last_error(void);

// "0.1.0": the version of the library that is linked in.
E64_API const char *e64_version(void);

// ---------------------------------------------------------------- memory ---

// Where the loader's own memory comes from. `resize` follows realloc: block
// NULL allocates, size 0 frees and returns NULL. It is called from any thread
// and must not call back into the loader.
typedef struct e64_allocator {
    size_t struct_size;
    void *(*resize)(void *data, void *block, size_t size);
    void *data;
} e64_allocator;

// Sets the allocator of the whole process. Must come before the first runtime,
// else E64_INUSE.
E64_API e64_status e64_set_allocator(const e64_allocator *allocator,
                                     e64_error *error);

// Thread-local variables that a plugin accesses by fixed offsets (initial-exec)
// lie in a pool that every thread of the process has. 4096 bytes are there
// unless one file of the program that the loader is linked into says
//
//     E64_TLS_POOL(65536)
//
// at file scope. Every thread's stack gives up that much: with 64 KB,
// pthread_create fails for stacks of 64 KB and less. A library that is opened
// by dlopen can have about 1 KB.
#define E64_TLS_POOL(bytes)                        \
    __thread char e64_tls_pool[bytes] = "e64 tls"; \
    const unsigned long e64_tls_pool_size = bytes;

// What it defines: names of C in C++, too, where a constant that was not
// declared before would be its file's own.
extern __attribute__((visibility("hidden"), tls_model("initial-exec"),
                      aligned(64))) __thread char e64_tls_pool[];
extern __attribute__((visibility("hidden")))
const unsigned long e64_tls_pool_size;

// --------------------------------------------------------------- runtime ---

// One loader: its plugins and its policy. Several live in one process and do
// not see each other's names.
typedef struct e64_runtime e64_runtime;

// One file that a runtime has mapped. Each e64_open that gives it out counts
// one more handle, which e64_close ends.
typedef struct e64_plugin e64_plugin;

typedef enum e64_kind {
    E64_KIND_NOTYPE = 0,
    E64_KIND_OBJECT,
    E64_KIND_FUNCTION,
    E64_KIND_TLS,   // address: the calling thread's copy
    E64_KIND_IFUNC, // address: what the resolver chose
} e64_kind;

typedef struct e64_symbol {
    const char *name;
    const char *version; // of the definition; NULL without
    void *address;
    uint64_t size; // bytes; 0 when the file does not say
    e64_kind kind;
    e64_plugin *plugin; // the definer; NULL when it is the host's
    const char *file;   // the definer's path
} e64_symbol;

// Bytes of an ELF file, wherever they are.
typedef enum e64_source_kind {
    E64_SOURCE_PATH = 0, // a file by its path
    E64_SOURCE_BYTES,    // memory; not needed any more once the call returns
    E64_SOURCE_FD,       // an open descriptor, which stays the caller's
    E64_SOURCE_READER,   // a callback
} e64_source_kind;

typedef struct e64_source {
    size_t struct_size;
    e64_source_kind kind;
    const char *name;  // what debuggers and messages show; optional for a path
    const char *path;  // E64_SOURCE_PATH
    const void *bytes; // E64_SOURCE_BYTES, `size` bytes of them
    int fd;            // E64_SOURCE_FD
    // E64_SOURCE_READER: fills `buffer` with `size` bytes from `offset` (of the
    // ELF file, `offset` below not included) and returns how many it could
    // give, or -1 with errno set.
    int64_t (*read)(void *data, void *buffer, size_t size, uint64_t offset);
    void *data;
    uint64_t offset; // where in the file, bytes or reader the ELF file begins
    uint64_t size;   // its size; 0 for all that follows (path and fd only)
} e64_source;

typedef enum e64_log_level {
    E64_LOG_DEBUG = 0,
    E64_LOG_INFO,
    E64_LOG_WARNING,
} e64_log_level;

// Finds the file for `name`, which `wanter` (NULL: the caller of e64_open)
// needs; asked for names with a slash, too. Answers E64_OK with *source filled;
// E64_NOTFOUND without touching `error` to leave it to the loader's own search;
// or another status, or E64_NOTFOUND with `error` filled, to fail the open.
// When the message alone is filled, the loader searches, and says that too
// should it find nothing. E64_OK with a *source that is none fails it as
// E64_HOOK. What *source points to must stay until the hook's next call or the
// end of the open.
typedef e64_status (*e64_search_hook)(void *data, e64_runtime *runtime,
                                      const char *name, e64_plugin *wanter,
                                      e64_source *source, e64_error *error);

// Told of what is mapped and unmapped (info) and of what could not be opened
// (warning), with nothing locked, on the thread that does it.
typedef void (*e64_log_hook)(void *data, e64_log_level level,
                             const char *message);

// What becomes of a plugin that is closed while something points into it that
// can be seen: e64_pins.
typedef enum e64_unload {
    // It is stopped, and unmapped later: when what was seen has gone. That is
    // looked after when a thread that was started in it ends, a key is deleted
    // or a thread_local object destroyed, and at the next open or close in the
    // runtime.
    E64_UNLOAD_WAIT = 0,
    // e64_close and e64_runtime_free answer E64_INUSE, and nothing has changed.
    E64_UNLOAD_REFUSE,
    // It is stopped and stays mapped for good.
    E64_UNLOAD_LEAK,
} e64_unload;

// Hooks and tables by which a program decides.
#include "elf64load_policy.h"

typedef struct e64_runtime_options {
    size_t struct_size;
    // Templates separated by ';', each '?' replaced by the name that is looked
    // for ("./plugins/?.so;/opt/game/?"), tried before ld.so's own places.
    // NULL: none.
    const char *path;
    e64_search_hook search;
    void *search_data;
    e64_log_hook log;
    void *log_data;
    e64_unload unload;
    // What elf64load_policy.h tells of, each with its data.
    e64_accept_hook accept;
    void *accept_data;
    e64_event_hook event;
    void *event_data;
    e64_verify_hook verify;
    void *verify_data;
    e64_order_hook order;
    void *order_data;
    unsigned char force; // the order hook's answer is taken as it is
    unsigned char lazy; // for all opens: see e64_open_options
    e64_resolve_hook resolve;
    void *resolve_data;
    const e64_rules *rules; // copied; NULL: none
    const e64_override *overrides; // copied
    size_t override_count;
    e64_scope_hook scope;
    void *scope_data;
} e64_runtime_options;

// Makes a runtime. `options` may be NULL.
E64_API e64_status e64_runtime_new(const e64_runtime_options *options,
                                   e64_runtime **runtime, e64_error *error);

// Closes what is still open in it, in the order in which ld.so would, and frees
// it. Its plugins' handles are void from then on. E64_INUSE when called from a
// constructor or destructor of one of its plugins or from one of its hooks, or
// when E64_UNLOAD_REFUSE says so. What has to wait is unmapped later, as if it
// were not freed.
//
// What must not be unloaded (`nodelete`, DF_1_NODELETE, owners of unique
// symbols) stays until the process ends, and so do runtimes that are not freed:
// then their plugins are stopped when glibc finalises the object that this
// library is linked into, after all atexit handlers.
E64_API e64_status e64_runtime_free(e64_runtime *runtime, e64_error *error);

// --------------------------------------------------------------- opening ---

typedef struct e64_open_options {
    size_t struct_size;
    unsigned char global;    // later opens of the runtime see its symbols
    // Functions that a plugin which is new calls through its PLT are looked for
    // when they are first called, unless it was linked with -z now or
    // LD_BIND_NOW was set when the process started. One that nothing defines
    // then ends the process, as under ld.so: with a warning to the log, a line
    // to standard error and the exit status 127.
    unsigned char lazy;
    unsigned char deepbind;  // its own scope before the host's
    unsigned char nodelete;  // never unloaded
    unsigned char noload;    // only what is open already: else E64_NOTFOUND
    // A copy of its own, under no name that others see; not with `noload`.
    unsigned char private_;
    unsigned char hold;      // map and bind, start later by e64_start
    // Has perf know the functions of what perf cannot read as a file, being
    // made of objects or opened from bytes: adds them to /tmp/perf-PID.map, and
    // keeps their code in memory that is no file's.
    unsigned char perf;
    const char *name; // for e64_link; NULL: the first source's
} e64_open_options;

// Opens a plugin with all that it needs and starts it. Unless it is `lazy` all
// is bound at once, as with RTLD_NOW.
// A name with a slash is a path; another is looked for as ld.so does, after
// the runtime's own `path`. The name of an open plugin gives that one, whatever
// file is there by now, and so does its file by another name. On failure
// nothing stays mapped or open. May be called from constructors.
E64_API e64_status e64_open(e64_runtime *runtime, const char *name,
                            const e64_open_options *options,
                            e64_plugin **plugin, e64_error *error);

// The same from a source. A source without a file identity (bytes, reader, a
// part of a file) is a new plugin each time.
E64_API e64_status e64_load(e64_runtime *runtime, const e64_source *source,
                            const e64_open_options *options,
                            e64_plugin **plugin, e64_error *error);

// Runs what `hold` left out: IFUNC resolvers and constructors, dependencies
// first. Does nothing for a plugin that has been started. E64_START for one
// that was opened as a part of something else alone: start that.
E64_API e64_status e64_start(e64_plugin *plugin, e64_error *error);

// One handle more for the same plugin, which an open has given. Never fails.
// Not for what a hook is shown while it is being opened: when that open fails,
// the plugin goes for all that, and the handle is void.
E64_API e64_plugin *e64_retain(e64_plugin *plugin);

// Ends one handle. When its last handle and its last dependent are gone, and no
// thread has a destructor of its C++ thread_local objects to run, the plugin
// stops: its destructors run, on this thread. Then it is unmapped, unless
// something points into it: see e64_unload. `plugin` and what was looked up in
// it are void.
E64_API e64_status e64_close(e64_plugin *plugin, e64_error *error);

// The process as a plugin: lookups go through the host's global scope. Counted
// like any other.
E64_API e64_status e64_host(e64_runtime *runtime, e64_plugin **plugin,
                            e64_error *error);

typedef enum e64_state {
    E64_STATE_MAPPED = 0, // bound, not started
    E64_STATE_STARTING,   // its constructors are running
    E64_STATE_STARTED,
    E64_STATE_STOPPING, // its destructors are running, or have run and
                        // something keeps it mapped
    E64_STATE_STOPPED,  // unmapped; only the record is left
    E64_STATE_HOST,     // glibc's; this loader neither starts nor stops it
} e64_state;

// How long the phases of the open that mapped a plugin took, in nanoseconds,
// for it and all that was mapped along with it.
typedef struct e64_times {
    uint64_t discover; // search and read
    uint64_t map;
    uint64_t resolve;
    uint64_t apply;
    uint64_t ifunc; // resolvers, and sealing
    uint64_t start; // constructors
} e64_times;

// What a plugin is. The strings live as long as the plugin.
typedef struct e64_plugin_info {
    const char *name;      // as it was asked for
    const char *path;      // of its file, or the source's name
    const char *soname;    // DT_SONAME, or NULL
    uintptr_t base;        // load bias: address minus st_value
    uintptr_t start;       // its lowest address
    uintptr_t end;         // the first address after it
    uint64_t generation;   // grows with every plugin of the process
    uint64_t tls_module;   // what its DTPMOD64 slots hold; 0 without PT_TLS
    int64_t tls_offset;    // of its block from the thread pointer, when it is
                           // the same in all threads; else 0
    e64_state state;
    uint32_t handles;  // opens that were not closed yet
    uint32_t segments; // PT_LOAD segments
    e64_times times;   // zero for what came along with another
} e64_plugin_info;

E64_API void e64_plugin_describe(e64_plugin *plugin, e64_plugin_info *info);

// Calls `visit` for each plugin of the runtime in the order in which they were
// mapped, until it answers non-zero, which is returned. Those that stand for
// the process or for a file of glibc's are E64_STATE_HOST. Opens and closes
// from within `visit` are not seen by the walk; a plugin that is closed
// meanwhile stays described as stopped.
E64_API int e64_plugins(e64_runtime *runtime,
                        int (*visit)(void *data, e64_plugin *plugin),
                        void *data);

// What keeps a plugin from being unmapped, or from being stopped.
typedef enum e64_pin_kind {
    E64_PIN_HANDLE = 0,   // opens that were not closed; number: how many
    E64_PIN_DEPENDENT,    // `plugin` needs it, or is bound to it
    E64_PIN_OPENING,      // an open that is under way has found it
    E64_PIN_RUNNING,      // its constructors or destructors are running
    E64_PIN_NODELETE,     // it must not be unloaded
    E64_PIN_UNIQUE,       // it owns an STB_GNU_UNIQUE symbol that is in use
    E64_PIN_THREAD_LOCAL, // thread `number` has an object of it to destroy
    E64_PIN_KEY,          // the destructor of pthread key `number` is its code
    E64_PIN_FORK,         // fork calls it
    E64_PIN_EXIT,         // the end of the process calls it
    E64_PIN_SIGNAL,       // it handles signal `number`
    E64_PIN_THREAD,       // thread `number` was started in it
    E64_PIN_STACK,        // thread `number` is in it, or returns to it
    E64_PIN_LEAKED,       // E64_UNLOAD_LEAK: it stays
} e64_pin_kind;

typedef struct e64_pin {
    e64_pin_kind kind;
    const char *name;    // of the kind: "handle", "dependent", ...
    const char *message; // "thread 1234 was started at run"
    e64_plugin *plugin;  // the dependent, or NULL
    const void *address; // in the plugin, or NULL
    int64_t number;      // 0 where there is none
} e64_pin;

// Calls `visit` with each pin that can be seen, until it answers non-zero,
// which is returned. The strings live until `visit` returns. Threads start in a
// plugin, keys, handlers of forks and of the end of the process are known when
// plugins asked for them; handlers of signals and return addresses on threads'
// stacks are looked for. README lists what cannot be seen.
//
// Of one that is closed, and waits, e64_plugins knows the record.
E64_API int e64_pins(e64_plugin *plugin,
                     int (*visit)(void *data, const e64_pin *pin), void *data);

// What the file asks to be relocated, by type ("R_X86_64_64"), and what it
// imports, counted when it was mapped.
typedef struct e64_count {
    const char *name;
    uint64_t count;
} e64_count;

// Fills up to `room` counts and returns how many there are.
E64_API size_t e64_relocations(e64_plugin *plugin, e64_count *counts,
                               size_t room);

// How many imports were bound.
E64_API size_t e64_imports(e64_plugin *plugin);

// --------------------------------------------------------------- symbols ---

// Looks a symbol up as dlsym does: in the plugin, then in what it needs,
// breadth first. `version` NULL gives the default one. The strings of *symbol
// live as long as the definer.
//
// Takes no lock. A signal handler may call it for a symbol of the plugin itself
// that is neither an IFUNC nor unique (STB_GNU_UNIQUE), and for a thread-local
// one when the thread has used the plugin's before.
E64_API e64_status e64_lookup(e64_plugin *plugin, const char *name,
                              const char *version, e64_symbol *symbol,
                              e64_error *error);

// The address of a symbol, or NULL (e64_last_error says why).
E64_API void *e64_address(e64_plugin *plugin, const char *name);

// The same for a function, as a pointer that may be called.
typedef void (*e64_function)(void);
E64_API e64_function e64_entry(e64_plugin *plugin, const char *name);

// A name, with a version or NULL, that is looked up again and again, in
// whatever plugins of whatever runtimes.
typedef struct e64_key e64_key;
E64_API e64_status e64_key_new(const char *name, const char *version,
                               e64_key **key, e64_error *error);
// NULL is let pass.
E64_API void e64_key_free(e64_key *key);

// e64_lookup of that name. The second time in the same plugin it reads no text.
E64_API e64_status e64_lookup_key(e64_plugin *plugin, const e64_key *key,
                                  e64_symbol *symbol, e64_error *error);

// Calls `visit` for each symbol that the plugin itself defines and exports, in
// the order of its symbol table, until it answers non-zero, which is returned.
// The address of a TLS or IFUNC symbol is left NULL.
E64_API int e64_symbols(e64_plugin *plugin,
                        int (*visit)(void *data, const e64_symbol *symbol),
                        void *data);

// What lies at an address: file, nearest symbol at or before it, and distance.
typedef struct e64_place {
    e64_plugin *plugin; // NULL when it is the host's
    const char *file;
    uintptr_t base;
    const char *symbol; // NULL when none covers it
    const char *version;
    void *address; // of the symbol
    uint64_t size;
} e64_place;

// E64_NOTFOUND when neither a plugin of any runtime nor the host has anything
// there. The strings live as long as the owner of the address.
//
// A signal handler may call it for an address in a plugin that stays open; for
// others glibc's loader is asked.
E64_API e64_status e64_whence(const void *address, e64_place *place,
                              e64_error *error);

// ------------------------------------------------------------------ plan ---

// What an open would do, asked before anything of it is done.
#include "elf64load_plan.h"

// --------------------------------------------------------------- objects ---

// Object files and archives, linked in the process.
#include "elf64load_object.h"

// ------------------------------------------------------------------- why ---

// Why a plugin is mapped, and what its imports are bound to.
#include "elf64load_why.h"

#ifdef __cplusplus
}
#endif

#endif
