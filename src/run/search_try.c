// One file of a search: taken, passed over, or the end of it.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../elf/machine.h"
#include "../error.h"
#include "search_state.h"

void search_tell(const struct search *search, const char *path,
                 e64_status result)
{
    const struct search_probe probe = { path, search->place, search->owner,
                                        result };
    if (search->request->probe)
        search->request->probe(search->request->probe_data, &probe);
}

static void pass_over(struct search *search, const char *path,
                      e64_status kind, int number, const char *why)
{
    search_tell(search, path, kind);
    if (search->obstacle_kind == E64_OK) {
        search->obstacle_kind = kind;
        search->obstacle_errno = number;
        text_add(&search->obstacle, path);
        if (number)
            return; // the message ends in it
    }
    text_add(&search->passed, "; ");
    text_add(&search->passed, path);
    text_add(&search->passed, " was passed over: ");
    text_add(&search->passed, why);
}

static enum trial end(struct search *search, const char *path,
                      e64_status status)
{
    search->status = status;
    text_add(&search->ended, path);
    search_tell(search, path, status);
    return TRIAL_END;
}

static enum trial absent(struct search *search, const char *path)
{
    text_cut(&search->last, 0);
    text_add(&search->last, path);
    search_tell(search, path, E64_NOTFOUND);
    return TRIAL_NEXT;
}

// The ELF files that ld.so passes over instead of failing: those of the other
// class, and well formed ones for another machine (gABI "ELF Identification").
// Returns the kind of refusal, or E64_OK, and puts into words why.
static e64_status foreign(struct view view, char *why, size_t size)
{
    Elf64_Ehdr header;
    char room[32];
    if (!view_read(view, 0, &header, sizeof header)
        || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return E64_OK;
    // e_machine lies where it lies in both classes.
    const char *machine = elf_machine_name(header.e_machine, room,
                                           sizeof room);
    if (header.e_ident[EI_CLASS] != ELFCLASS64) {
        snprintf(why, size, "invalid filetype, only ELF64 supported (a %s file "
                 "for %s)", header.e_ident[EI_CLASS] == ELFCLASS32
                 ? "32-bit" : "strange", machine);
        return E64_BADFORMAT;
    }
    bool ours = header.e_ident[EI_DATA] == ELFDATA2LSB
             && header.e_ident[EI_VERSION] == EV_CURRENT
             && header.e_version == EV_CURRENT;
    if (!ours || header.e_machine == EM_X86_64)
        return E64_OK;
    snprintf(why, size, "invalid architecture, only AMD64 supported (it is for "
             "%s)", machine);
    return E64_BADARCH;
}

static e64_status cannot_go_on(const char *path)
{
    e64_status status = fail_system("%s: cannot open", path);
    error_path(path);
    return status;
}

// A failure to open a file, as ld.so takes it.
static enum trial cannot_open(struct search *search, const char *path,
                              int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return absent(search, path);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        // Nothing else could be opened either.
        errno = number;
        return end(search, path, cannot_go_on(path));
    default:
        pass_over(search, path, E64_SYSTEM, number, strerror(number));
        return number == EACCES ? TRIAL_NEXT : TRIAL_REST;
    }
}

static bool regular(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) != 0 || S_ISREG(stat.st_mode);
}

enum trial search_try(void *data, const char *path, bool there)
{
    struct search *search = data;
    if (!there)
        return absent(search, path);
    // Opened here and not by its path, because most files of a search are not
    // there, and a failure with its message costs more than the system call.
    // O_NONBLOCK: a FIFO must not make us wait for its writer.
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return cannot_open(search, path, errno);
    if (search->lenient && !regular(fd)) {
        close(fd);
        pass_over(search, path, E64_SYSTEM, 0, "not a regular file");
        return TRIAL_NEXT;
    }
    e64_source source = { .struct_size = sizeof source,
                          .kind = E64_SOURCE_FD, .fd = fd, .name = path };
    e64_status status = elf_file_open(&source, search->file);
    if (status != E64_OK) {
        close(fd);
        return end(search, path, status);
    }
    search->file->own_fd = true;
    char why[128];
    e64_status refusal = foreign(search->file->view, why, sizeof why);
    if (refusal == E64_OK && (!search->suits
            || search->suits(search->suits_data, search->file)))
        return end(search, path, E64_OK);
    elf_file_close(search->file);
    if (refusal != E64_OK)
        pass_over(search, path, refusal, 0, why);
    return TRIAL_NEXT;
}
