// The bytes of an ELF file from any source, readable as one view.

#ifndef ELF_FILE_H
#define ELF_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "../elf64load.h"
#include "view.h"

struct elf_file {
    char *name;       // path, or what the source is called
    struct view view; // all bytes of the ELF file
    int fd;           // to map from, or -1: then segments are copied
    bool own_fd;
    uint64_t offset;  // of the ELF file in fd
    void *mapping;    // what to unmap, or NULL for the caller's bytes
    size_t mapped;
    bool shown;       // the mapping begins with the file's first byte: where
                      // it is as long as the plugin, that may be mapped over it
    bool identified;  // device and inode say which file it is
    dev_t device;
    ino_t inode;
    // Of what is identified: by these a file that was written to is told.
    struct timespec modified, changed;
    bool copied; // nothing of it is mapped or open any more
};

// Are both of the same file? The number of a file that is deleted goes to
// another one as soon as nothing holds it.
static inline bool elf_file_is_same(const struct elf_file *known,
                                    const struct elf_file *file)
{
    return known->identified && file->identified
        && known->inode == file->inode && known->device == file->device
        && (!known->copied
            || (known->modified.tv_sec == file->modified.tv_sec
                && known->modified.tv_nsec == file->modified.tv_nsec));
}

// What a reader answers, in this program alone, that has made the failure
// pending itself.
#define ELF_READ_FAILED INT64_MIN

// Opens a source. What is not a regular file fails as E64_SYSTEM, without
// blocking on a FIFO. An empty file fails as E64_BADFORMAT.
e64_status elf_file_open(const e64_source *source, struct elf_file *file);

// The same for a path.
e64_status elf_file_open_path(const char *path, struct elf_file *file);

// Puts a copy in the place of what it was opened from, which nobody else can
// change. It is still the same file by its identity.
e64_status elf_file_make_private(struct elf_file *file);

// A file of as many zeros, to be filled at *bytes, which nobody else can change
// once it is sealed. It has no identity.
e64_status elf_file_new(const char *name, uint64_t size, struct elf_file *file,
                        uint8_t **bytes);
e64_status elf_file_seal(struct elf_file *file);

// Closes the descriptor: segments are copied from then on.
void elf_file_forget(struct elf_file *file);

// Closes and unmaps what the bytes came from; the name and the identity stay.
void elf_file_release(struct elf_file *file);

// Frees all that it holds. A zeroed struct may be closed.
void elf_file_close(struct elf_file *file);

#endif
