// What the process was started as. It outlives runtimes, and an embedder's
// allocator may count what a runtime leaves behind: so the memory is malloc's.

#include "startup.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "../error.h"
#include "../limit.h"

// The one place where this is decided. The kernel sets it for set-user-id,
// set-group-id and capability programs; ld.so goes by the same value.
static bool is_secure(void)
{
    return getauxval(AT_SECURE) != 0;
}

struct bytes {
    char *data; // a zero follows the last byte
    size_t size;
};

// What is read here is kept for good: it is not taken for missing because a
// limit was reached at that moment.
static e64_status unless_passing(const char *path)
{
    return limit_is_passing(errno) ? fail_system("%s: cannot be read", path)
                                   : E64_OK;
}

static e64_status read_descriptor(const char *path, int fd,
                                  struct bytes *bytes)
{
    size_t room = 0;
    ssize_t got = 1;
    while (got > 0 || (got < 0 && errno == EINTR)) {
        if (room - bytes->size < 4096) {
            room += 16384;
            char *larger = realloc(bytes->data, room);
            if (!larger)
                return fail_memory(room);
            bytes->data = larger;
        }
        got = read(fd, bytes->data + bytes->size, room - bytes->size - 1);
        bytes->size += got > 0 ? (size_t)got : 0;
        bytes->data[bytes->size] = '\0';
    }
    return got < 0 ? unless_passing(path) : E64_OK;
}

// All of a file of /proc, whose size stat does not tell. One that is not there
// or may not be read is an empty one.
static e64_status read_all(const char *path, struct bytes *bytes)
{
    *bytes = (struct bytes){ NULL, 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unless_passing(path);
    e64_status status = read_descriptor(path, fd, bytes);
    close(fd);
    if (status != E64_OK)
        free(bytes->data);
    return status;
}

// The value in "NAME=value", or NULL.
static const char *value_of(const char *setting, const char *name)
{
    size_t size = strlen(name);
    bool same = strncmp(setting, name, size) == 0 && setting[size] == '=';
    return same ? setting + size + 1 : NULL;
}

// As ld.so reads it: the last setting of a name counts.
static const char *variable(const struct bytes *start, const char *name)
{
    const char *value = NULL;
    if (start->size == 0) {
        // No /proc. What the program has changed since then shows.
        for (char **at = environ; at && *at; at++) {
            const char *this = value_of(*at, name);
            value = this ? this : value;
        }
        return value;
    }
    const char *end = start->data + start->size;
    for (const char *at = start->data; at < end; at += strlen(at) + 1) {
        const char *this = value_of(at, name);
        value = this ? this : value;
    }
    return value;
}

static e64_status keep(char **to, const char *text)
{
    *to = text && *text ? strdup(text) : NULL;
    return *to || !text || !*text ? E64_OK : fail_memory(strlen(text) + 1);
}

// glibc.cpu.hwcap_mask: in GLIBC_TUNABLES ("name=value:name=value") or by its
// older name as a variable of its own.
static uint64_t read_mask(const struct bytes *start)
{
    const char *tunable = "glibc.cpu.hwcap_mask";
    const char *at = variable(start, "GLIBC_TUNABLES");
    const char *value = NULL;
    while (at && *at) {
        const char *this = value_of(at, tunable);
        value = this ? this : value;
        at = strchr(at, ':');
        at = at ? at + 1 : NULL;
    }
    // glibc puts a zero behind each tunable that it knows, in place, so that
    // those after it look like variables.
    if (!value)
        value = variable(start, tunable);
    if (!value)
        value = variable(start, "LD_HWCAP_MASK");
    return value ? strtoull(value, NULL, 0) : UINT64_MAX;
}

// The executable's folder; without /proc what LD_ORIGIN_PATH says.
static e64_status read_origin(struct startup *startup, const char *instead)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    e64_status status = size < 0 ? unless_passing("/proc/self/exe") : E64_OK;
    if (status != E64_OK)
        return status;
    if (size <= 0 || path[0] != '/')
        return keep(&startup->origin, instead);
    while (path[size - 1] != '/')
        size--;
    path[size > 1 ? size - 1 : 1] = '\0';
    return keep(&startup->origin, path);
}

static e64_status read_environment(struct startup *startup)
{
    struct bytes start = { NULL, 0 };
    // The one variable that ld.so goes by whatever rights a program has.
    const char *bind_now = startup->secure ? variable(&start, "LD_BIND_NOW")
                                           : NULL;
    startup->bind_now = bind_now && *bind_now;
    if (startup->secure) {
        ldso_read(UINT64_MAX, &startup->ldso);
        return read_origin(startup, NULL);
    }
    e64_status status = read_all("/proc/self/environ", &start);
    if (status != E64_OK)
        return status;
    ldso_read(read_mask(&start), &startup->ldso);
    bind_now = variable(&start, "LD_BIND_NOW");
    startup->bind_now = bind_now && *bind_now;
    status = keep(&startup->library_path, variable(&start, "LD_LIBRARY_PATH"));
    if (status == E64_OK)
        status = read_origin(startup, variable(&start, "LD_ORIGIN_PATH"));
    free(start.data);
    return status;
}

// The dynamic section of the executable, by what the kernel (or an ld.so that
// was started as a program) says of its program headers.
static void read_executable(struct startup *startup)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long count = headers ? getauxval(AT_PHNUM) : 0;
    const ElfW(Phdr) *own = NULL, *dynamic = NULL;
    for (unsigned long i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR)
            own = &headers[i];
        else if (headers[i].p_type == PT_DYNAMIC)
            dynamic = &headers[i];
    }
    if (!own || !dynamic)
        return;
    uintptr_t bias = (uintptr_t)headers - own->p_vaddr;
    const ElfW(Dyn) *entries = (const ElfW(Dyn) *)(bias + dynamic->p_vaddr);
    uintptr_t strings = 0, rpath = 0, runpath = 0;
    for (const ElfW(Dyn) *at = entries; at->d_tag != DT_NULL; at++) {
        switch (at->d_tag) {
        case DT_STRTAB: strings = at->d_un.d_ptr; break;
        case DT_RPATH: rpath = at->d_un.d_val; break;
        case DT_RUNPATH: runpath = at->d_un.d_val; break;
        case DT_FLAGS_1:
            startup->nodeflib = (at->d_un.d_val & DF_1_NODEFLIB) != 0;
            break;
        }
    }
    if (!strings)
        return;
    // glibc turns the addresses in a writable dynamic section into real ones.
    if (!(dynamic->p_flags & PF_W))
        strings += bias;
    if (rpath)
        startup->rpath = (const char *)strings + rpath;
    if (runpath)
        startup->runpath = (const char *)strings + runpath;
}

static void discard(struct startup *startup)
{
    free(startup->library_path);
    free(startup->origin);
    free(startup);
}

e64_status startup_get(const struct startup **startup)
{
    static _Atomic(struct startup *) shared;
    struct startup *known = atomic_load(&shared);
    if (!known) {
        struct startup *made = calloc(1, sizeof *made);
        if (!made)
            return fail_memory(sizeof *made);
        made->secure = is_secure();
        read_executable(made);
        e64_status status = read_environment(made);
        if (status != E64_OK) {
            discard(made);
            return status;
        }
        // Of two threads that come first, the slower takes the other's.
        if (atomic_compare_exchange_strong(&shared, &known, made))
            known = made;
        else
            discard(made);
    }
    *startup = known;
    return E64_OK;
}

bool startup_allows(const struct startup *startup, const char *folder)
{
    return !startup->secure || folder[0] == '/';
}
