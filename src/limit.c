// Which limit has been reached. ENOMEM alone may mean one of several.

#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// Lines of a file of /proc; 0 when it cannot be read.
static unsigned long count_lines(const char *path)
{
    char buffer[4096];
    unsigned long count = 0;
    ssize_t got;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    while ((got = read(file, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < got; i++)
            count += buffer[i] == '\n';
    close(file);
    return count;
}

// The number that a file of /proc begins with; 0 when it cannot be read.
static unsigned long read_number(const char *path)
{
    char text[32];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    text[got > 0 ? got : 0] = '\0';
    return strtoul(text, NULL, 10);
}

static void explain_limit(int resource, const char *name, const char *advice,
                          char *text, size_t size)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(text, size, " (%s is %llu%s)", name,
                 (unsigned long long)limit.rlim_cur, advice);
}

// The kernel needs two mappings more for what it splits.
static void explain_memory(char *text, size_t size)
{
    enum { NEAR = 16 };
    unsigned long most = read_number("/proc/sys/vm/max_map_count");
    unsigned long mappings = most ? count_lines("/proc/self/maps") : 0;
    if (mappings && mappings + NEAR >= most) {
        snprintf(text, size, " (the process has %lu mappings, and "
                 "vm.max_map_count is %lu: raise that by sysctl)", mappings,
                 most);
        return;
    }
    unsigned long long page = (unsigned long long)sysconf(_SC_PAGESIZE);
    char advice[96];
    snprintf(advice, sizeof advice, " bytes, and %llu are in use: raise it, as "
             "by ulimit -v", read_number("/proc/self/statm") * page);
    explain_limit(RLIMIT_AS, "RLIMIT_AS", advice, text, size);
    if (!*text)
        explain_limit(RLIMIT_DATA, "RLIMIT_DATA", " bytes: raise it, as by "
                      "ulimit -d", text, size);
}

void limit_explain(int number, char *text, size_t size)
{
    int before = errno;
    *text = '\0';
    switch (number) {
    case EMFILE:
        explain_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", ": close descriptors, or "
                      "raise it, as by ulimit -n", text, size);
        break;
    case ENFILE:
        snprintf(text, size, " (fs.file-max of the system is %lu)",
                 read_number("/proc/sys/fs/file-max"));
        break;
    case ENOMEM:
        explain_memory(text, size);
        break;
    case EAGAIN: // of memory, after mlockall
        explain_limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", " bytes: raise it, as "
                      "by ulimit -l", text, size);
        break;
    }
    errno = before;
}

// It may be memory that there is not enough of.
void limit_explain_threads(char *text, size_t size)
{
    int before = errno;
    *text = '\0';
    explain_memory(text, size);
    if (!*text)
        explain_limit(RLIMIT_NPROC, "RLIMIT_NPROC", ": raise it, as by "
                      "ulimit -u", text, size);
    errno = before;
}

bool limit_is_passing(int number)
{
    return number == ENOMEM || number == EMFILE || number == ENFILE
        || number == ENOSPC || number == EIO;
}
