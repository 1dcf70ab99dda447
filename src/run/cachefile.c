// Keeps the bytes of ld.so.cache between searches. They are read, not mapped,
// so that a file which shrinks does not end the process, and lie in a mapping
// of their own, so that nothing is left on the embedder's heap.

#include "cachefile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "../limit.h"
#include "../lock.h"
#include "../mapping.h"

enum { LARGEST = 1 << 28 };

struct kept {
    struct view view;
    struct stat stat; // of the file when it was read
};

static struct kept kept;
static struct lock lock = LOCK_INITIALIZER;

// False with errno 0 when the file has become shorter.
static bool read_whole(int fd, uint8_t *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        errno = 0;
        ssize_t got = pread(fd, to + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static e64_status cannot_read(const char *path)
{
    return fail_system("%s: cannot be read", path);
}

static e64_status read_file(const char *path, int fd, struct kept *into)
{
    if (fstat(fd, &into->stat) != 0)
        return cannot_read(path);
    if (!S_ISREG(into->stat.st_mode) || into->stat.st_size <= 0
        || into->stat.st_size >= LARGEST)
        return E64_OK;
    size_t size = (size_t)into->stat.st_size;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        return cannot_read(path);
    if (read_whole(fd, at, size)) {
        into->view = (struct view){ at, size };
        return E64_OK;
    }
    e64_status status = errno ? cannot_read(path) : E64_OK;
    mapping_drop(at, size);
    return status;
}

// Without a cache the view is empty. One that is there and cannot be read now
// is a failure: another library might be found than usual.
static e64_status load(const char *path, struct kept *into)
{
    *into = (struct kept){ 0 };
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return limit_is_passing(errno) ? cannot_read(path) : E64_OK;
    e64_status status = read_file(path, fd, into);
    close(fd);
    return status;
}

static void drop(struct kept *old)
{
    if (old->view.data)
        mapping_drop((void *)old->view.data, old->view.size);
    *old = (struct kept){ 0 };
}

static bool same_time(struct timespec left, struct timespec right)
{
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

// ctime shows what utime would hide.
static bool same(const struct stat *left, const struct stat *right)
{
    return left->st_dev == right->st_dev && left->st_ino == right->st_ino
        && left->st_size == right->st_size
        && same_time(left->st_mtim, right->st_mtim)
        && same_time(left->st_ctim, right->st_ctim);
}

// With the lock held: what is kept is the file as it is now.
static e64_status refresh(const char *path)
{
    struct stat now;
    struct kept fresh;
    bool there = kept.view.data && stat(path, &now) == 0;
    if (there && same(&now, &kept.stat))
        return E64_OK;
    if (kept.view.data && !there && limit_is_passing(errno))
        return cannot_read(path);
    e64_status status = load(path, &fresh);
    if (status == E64_OK) {
        drop(&kept);
        kept = fresh;
    }
    return status;
}

e64_status cachefile_use(const struct ldso *ldso, bool *looked,
                         void (*use)(void *data, struct view cache),
                         void *data)
{
    e64_status status = E64_OK;
    // Who does not get the lock reads the file for himself: so nobody waits,
    // and a child forked while another thread held the lock goes on.
    if (!lock_try(&lock)) {
        struct kept own;
        status = load(ldso->cache_path, &own);
        if (status == E64_OK)
            use(data, own.view);
        drop(&own);
        return status;
    }
    if (!looked || !*looked || !kept.view.data)
        status = refresh(ldso->cache_path);
    if (status == E64_OK)
        use(data, kept.view);
    if (looked)
        *looked = status == E64_OK;
    lock_give(&lock);
    return status;
}
