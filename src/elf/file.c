// Opens sources: a path, bytes, a descriptor, a reader.

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"
#include "header.h"
#include "valgrind.h"

enum { LONGEST_PATH = 4096 };

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    default: return "no regular file";
    }
}

static e64_status read_all(const e64_source *source, struct elf_file *file)
{
    if (!source->read || source->size == 0)
        return fail(E64_INVALID, "%s: a reader needs its read function and "
                    "the size of what it reads", file->name);
    void *at = mmap(NULL, source->size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return fail_system("%s: cannot get memory for its %llu bytes",
                           file->name, (unsigned long long)source->size);
    file->mapping = at;
    file->mapped = source->size;
    for (uint64_t done = 0; done < source->size; ) {
        int64_t got = source->read(source->data, (char *)at + done,
                                   source->size - done, source->offset + done);
        if (got == ELF_READ_FAILED)
            return error_pending()->status;
        if (got < 0)
            return fail_system("%s: its reader failed", file->name);
        if (got == 0 || (uint64_t)got > source->size - done)
            return fail(E64_BADFORMAT, "%s: its reader gave %llu of %llu bytes",
                        file->name, (unsigned long long)done,
                        (unsigned long long)source->size);
        done += (uint64_t)got;
    }
    file->view = (struct view){ at, source->size };
    return E64_OK;
}

static int64_t read_descriptor(void *data, void *buffer, size_t size,
                               uint64_t offset)
{
    const struct elf_file *file = data;
    ssize_t got;
    do
        got = pread(file->fd, buffer, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

// What a plugin has behind its file: .bss. No more than some, as what the file
// says has not been checked yet.
static uint64_t size_with_image(struct elf_file *file, uint64_t size)
{
    uint8_t beginning[1024]; // ld.so reads 832
    int64_t got = read_descriptor(file, beginning, sizeof beginning, 0);
    uint64_t span = elf_header_span((struct view){ beginning,
                                                   got > 0 ? (size_t)got : 0 });
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    span = (span + page - 1) & ~(page - 1);
    return span > size && span - size < size / 4 + (1 << 20) ? span : size;
}

// Maps [offset, offset + size) of the descriptor, read-only. Private: what
// others write to the file may show, as under ld.so, but we write nothing.
static e64_status map(struct elf_file *file, uint64_t size)
{
    // valgrind takes the first mapping of a file for the one that it runs from,
    // and would then give no names to the addresses of the right one.
    if (valgrind_runs_us_x86_64())
        return read_all(&(e64_source){ .read = read_descriptor, .data = file,
                                       .offset = file->offset, .size = size },
                        file);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t before = file->offset % page;
    file->mapped = size + before;
    file->shown = file->offset == 0;
    if (file->shown)
        file->mapped = size_with_image(file, size);
    void *at = mmap(NULL, file->mapped, PROT_READ, MAP_PRIVATE, file->fd,
                    (off_t)(file->offset - before));
    if (at == MAP_FAILED) {
        e64_status status = fail_system("%s: cannot map %llu bytes to read",
                                        file->name, (unsigned long long)size);
        error_path(file->name);
        return status;
    }
    file->mapping = at;
    file->view = (struct view){ (const uint8_t *)at + before, size };
    return E64_OK;
}

static e64_status open_descriptor(const e64_source *source,
                                  struct elf_file *file)
{
    struct stat stat;
    if (fstat(file->fd, &stat) != 0)
        return fail_system("%s: cannot stat", file->name);
    if (!S_ISREG(stat.st_mode)) {
        fail(E64_SYSTEM, "%s: is %s, not a regular file", file->name,
             kind_of(stat.st_mode));
        error_path(file->name);
        return E64_SYSTEM;
    }
    uint64_t whole = (uint64_t)stat.st_size;
    if (source->offset > whole || source->size > whole - source->offset) {
        fail(E64_BADFORMAT, "%s: offset %llu and size %llu reach beyond the "
             "file's %llu bytes", file->name,
             (unsigned long long)source->offset,
             (unsigned long long)source->size, (unsigned long long)whole);
        error_path(file->name);
        return E64_BADFORMAT;
    }
    uint64_t size = source->size ? source->size : whole - source->offset;
    if (size == 0) {
        fail(E64_BADFORMAT, "%s: the file is empty; invalid filetype, only "
             "ELF64 supported", file->name);
        error_path(file->name);
        return E64_BADFORMAT;
    }
    file->offset = source->offset;
    file->device = stat.st_dev;
    file->inode = stat.st_ino;
    file->modified = stat.st_mtim;
    file->changed = stat.st_ctim;
    file->identified = source->offset == 0 && size == whole;
    return map(file, size);
}

static e64_status open_path(const e64_source *source, struct elf_file *file)
{
    // O_NONBLOCK: opening a FIFO for reading must not wait for its writer.
    do
        file->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        int number = errno;
        e64_status status = fail_system("%s: cannot open", source->path);
        if (number == ENOENT || number == ENOTDIR)
            status = fail(E64_NOTFOUND, "%s: no such file", source->path);
        error_path(source->path);
        return status;
    }
    file->own_fd = true;
    return open_descriptor(source, file);
}

// Are the bytes no file but the name of one?
static bool is_path(struct view bytes)
{
    bool named = false;
    for (uint64_t i = 0; i < bytes.size; i++) {
        const char *at = (const char *)bytes.data + i;
        if (i == LONGEST_PATH || *at <= ' ' || *at > '~')
            return false;
        named |= *at == '/' || (bytes.size - i >= 3
                                && memcmp(at, ".so", 3) == 0);
    }
    return named;
}

static e64_status open_bytes(const e64_source *source, struct elf_file *file)
{
    if (!source->bytes || source->size == 0)
        return fail(E64_BADFORMAT, "%s: no bytes; invalid filetype, only ELF64 "
                    "supported", file->name);
    file->view = (struct view){ (const uint8_t *)source->bytes
                                + source->offset, source->size };
    if (is_path(file->view))
        return fail(E64_BADFORMAT, "%s: invalid filetype, only ELF64 supported "
                    "(the bytes are a path, '%.*s', which `open` takes)",
                    file->name, (int)source->size,
                    (const char *)file->view.data);
    return E64_OK;
}

static e64_status open_kind(const e64_source *source, struct elf_file *file)
{
    switch (source->kind) {
    case E64_SOURCE_PATH:
        return open_path(source, file);
    case E64_SOURCE_BYTES:
        return open_bytes(source, file);
    case E64_SOURCE_FD:
        file->fd = source->fd;
        return open_descriptor(source, file);
    case E64_SOURCE_READER:
        return read_all(source, file);
    }
    return fail(E64_INVALID, "e64_source: unknown kind %d", (int)source->kind);
}

e64_status elf_file_open(const e64_source *source, struct elf_file *file)
{
    *file = (struct elf_file){ .fd = -1 };
    if (source->struct_size < sizeof *source)
        return fail(E64_INVALID, "e64_source: struct_size is not set");
    if (source->kind == E64_SOURCE_PATH && !source->path)
        return fail(E64_INVALID, "e64_source: a path source without a path");
    const char *name = source->name ? source->name
                     : source->kind == E64_SOURCE_PATH ? source->path
                     : source->kind == E64_SOURCE_BYTES ? "(bytes)"
                     : source->kind == E64_SOURCE_FD ? "(descriptor)"
                     : "(reader)";
    file->name = memory_copy(name);
    if (!file->name)
        return fail_memory(strlen(name) + 1);
    e64_status status = open_kind(source, file);
    if (status != E64_OK)
        elf_file_close(file);
    return status;
}

e64_status elf_file_open_path(const char *path, struct elf_file *file)
{
    e64_source source = { .struct_size = sizeof source,
                          .kind = E64_SOURCE_PATH, .path = path };
    return elf_file_open(&source, file);
}

void elf_file_forget(struct elf_file *file)
{
    if (file->own_fd)
        close(file->fd);
    file->own_fd = false;
    file->fd = -1;
}

void elf_file_release(struct elf_file *file)
{
    if (file->mapping)
        mapping_drop(file->mapping, file->mapped);
    elf_file_forget(file);
    file->mapping = NULL;
    file->shown = false;
    file->view = (struct view){ 0 };
}

void elf_file_close(struct elf_file *file)
{
    elf_file_release(file);
    memory_free(file->name);
    *file = (struct elf_file){ .fd = -1 };
}
