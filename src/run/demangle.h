// C++ names as sources have them, for messages and scripts.

#ifndef RUN_DEMANGLE_H
#define RUN_DEMANGLE_H

#include <stdbool.h>

#include "../host/host.h"

// The __cxa_demangle of the libstdc++ or libc++abi that the process has, which
// every C++ plugin brings along (Itanium C++ ABI, 3.4). There may be none.
struct demangler {
    char *(*function)(const char *name, char *buffer, size_t *size,
                      int *status);
};

// It is there for as long as the snapshot's modules are held, and for this
// thread, where it is called: there is none without the stack that it takes.
struct demangler demangler_in(const struct host_snapshot *snapshot);

// "mixer::play(int)" for "_ZN5mixer4playEi", to be freed with memory_free. NULL
// when it is no C++ name or there is no demangler. Calls the host's code: not
// under a lock.
char *demangle(const struct demangler *demangler, const char *name);

// The part of a demangled name that is no return type, no parameters and
// nothing after them: "mixer::play".
struct qualified {
    const char *text;
    size_t size;
};
struct qualified demangled_name(const char *demangled);
// The last part of that, without template arguments: "play".
struct qualified demangled_base(struct qualified name);

#endif
