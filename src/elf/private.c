// Files that nobody else can change, copies of others or made here: in a sealed
// memfd, from which segments are mapped, or in memory where the system has
// none.

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"
#include "file.h"

static e64_status fail_copy(const struct elf_file *file)
{
    e64_status status = fail_system("%s: cannot get private memory for its "
                                    "%llu bytes", file->name,
                                    (unsigned long long)file->view.size);
    error_path(file->name);
    return status;
}

// From the descriptor, where there is one: pages of a mapping are gone when the
// file has been cut meanwhile.
static e64_status fill(const struct elf_file *file, uint8_t *copy)
{
    uint64_t size = file->view.size;
    if (file->fd < 0) {
        memcpy(copy, file->view.data, size);
        return E64_OK;
    }
    for (uint64_t done = 0; done < size; ) {
        ssize_t got = pread(file->fd, copy + done, size - done,
                            (off_t)(file->offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            e64_status status = fail_system("%s: cannot read", file->name);
            error_path(file->name);
            return status;
        }
        if (got == 0) {
            fail(E64_BADFORMAT, "%s: was cut to %llu bytes while it was read",
                 file->name, (unsigned long long)done);
            error_path(file->name);
            return E64_BADFORMAT;
        }
        done += (uint64_t)got;
    }
    return E64_OK;
}

// A descriptor of as many bytes, or -1.
static int make_memory(const struct elf_file *file)
{
    const char *slash = strrchr(file->name, '/');
    char name[128]; // the kernel takes 249 bytes
    size_t length = strlen(slash ? slash + 1 : file->name);
    length = length < sizeof name ? length : sizeof name - 1;
    memcpy(name, slash ? slash + 1 : file->name, length);
    name[length] = '\0';
    int memory = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory >= 0 && ftruncate(memory, (off_t)file->view.size) != 0) {
        close(memory);
        memory = -1;
    }
    return memory;
}

// Nobody may write to it any more, not even through a descriptor of /proc.
static void *seal(int memory, uint64_t size)
{
    if (fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW
                                   | F_SEAL_WRITE) != 0)
        return MAP_FAILED;
    return mmap(NULL, size, PROT_READ, MAP_PRIVATE, memory, 0);
}

// Fills `at`, which is shared with the descriptor or, without one, private.
static e64_status finish(const struct elf_file *file, int memory, void **at)
{
    uint64_t size = file->view.size;
    e64_status status = fill(file, *at);
    if (status != E64_OK || memory < 0) {
        if (status == E64_OK && mprotect(*at, size, PROT_READ) != 0)
            status = fail_copy(file);
        if (status != E64_OK)
            mapping_drop(*at, size);
        return status;
    }
    mapping_drop(*at, size);
    *at = seal(memory, size);
    return *at == MAP_FAILED ? fail_copy(file) : E64_OK;
}

e64_status elf_file_make_private(struct elf_file *file)
{
    uint64_t size = file->view.size;
    int memory = make_memory(file);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, memory < 0
                    ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, memory, 0);
    e64_status status = at == MAP_FAILED ? fail_copy(file)
                                         : finish(file, memory, &at);
    if (status != E64_OK) {
        if (memory >= 0)
            close(memory);
        return status;
    }
    elf_file_release(file);
    file->fd = memory;
    file->own_fd = memory >= 0;
    file->offset = 0;
    file->mapping = at;
    file->mapped = size;
    file->copied = true;
    file->view = (struct view){ at, size };
    return E64_OK;
}

e64_status elf_file_new(const char *name, uint64_t size, struct elf_file *file,
                        uint8_t **bytes)
{
    *file = (struct elf_file){ .fd = -1, .view = { NULL, size } };
    file->name = memory_copy(name);
    if (!file->name)
        return fail_memory(strlen(name) + 1);
    file->fd = make_memory(file);
    file->own_fd = file->fd >= 0;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, file->fd < 0
                    ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file->fd, 0);
    if (at == MAP_FAILED) {
        e64_status status = fail_copy(file);
        elf_file_close(file);
        return status;
    }
    file->mapping = at;
    file->mapped = size;
    file->view.data = at;
    *bytes = at;
    return E64_OK;
}

e64_status elf_file_seal(struct elf_file *file)
{
    uint64_t size = file->view.size;
    if (file->fd < 0)
        return mprotect(file->mapping, size, PROT_READ) == 0 ? E64_OK
                                                             : fail_copy(file);
    // A mapping through which it could be written to is in the seal's way.
    mapping_drop(file->mapping, size);
    file->mapping = NULL;
    void *at = seal(file->fd, size);
    if (at == MAP_FAILED)
        return fail_copy(file);
    file->mapping = at;
    file->view.data = at;
    return E64_OK;
}
