// Limits that a process may be under, for specs: linked into a program that
// calls limit(), or preloaded, with LIMIT in the environment.
//
//    deny:NAME:ERRNO    a system call fails (seccomp)
//    hide:PATH          what is under it is not there (seccomp)
//    files:N            but for N, all descriptors are in use
//    memory:N           RLIMIT_AS leaves N bytes
//    mappings:N         vm.max_map_count leaves N mappings
//    keys:N             but for N, all keys of pthread_key_create are in use
//    resource:NAME:N    RLIMIT_NAME is N
//    lock               all new memory is locked, without a right to do so
//    seal               what was writable cannot become executable (seccomp)
//    lift               undoes files, memory, mappings and keys

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CALL(name) { #name, SYS_##name }

static const struct { const char *name; unsigned number; } calls[] = {
    CALL(arch_prctl), CALL(bpf), CALL(clone), CALL(clone3), CALL(connect),
    CALL(eventfd2), CALL(ftruncate), CALL(get_mempolicy), CALL(getdents64),
    CALL(getrandom), CALL(inotify_init1), CALL(ioctl), CALL(kcmp), CALL(kill),
    CALL(madvise), CALL(mbind), CALL(membarrier), CALL(memfd_create),
    CALL(mincore), CALL(mkdir), CALL(mlock), CALL(mremap), CALL(msync),
    CALL(perf_event_open), CALL(pipe2), CALL(pkey_mprotect), CALL(poll),
    CALL(prctl), CALL(process_vm_readv), CALL(process_vm_writev), CALL(ptrace),
    CALL(readlink), CALL(rename), CALL(rt_sigaction), CALL(rt_sigprocmask),
    CALL(rt_tgsigqueueinfo), CALL(sched_getaffinity), CALL(sched_yield),
    CALL(setrlimit), CALL(sigaltstack), CALL(socket), CALL(statx),
    CALL(sysinfo), CALL(tgkill), CALL(tkill), CALL(uname), CALL(unlink),
    CALL(userfaultfd), CALL(vfork),
};

static const struct { const char *name; int number; } errors[] = {
    { "EPERM", EPERM }, { "ENOSYS", ENOSYS }, { "EAGAIN", EAGAIN },
};

static _Noreturn void stop(const char *what)
{
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    _exit(99);
}

// ---------------------------------------------------------------- seccomp ---

static void install(struct sock_filter *filter, size_t count)
{
    struct sock_fprog program = { (unsigned short)count, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        stop("PR_SET_NO_NEW_PRIVS");
    // For all threads, those that run already too.
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        stop("seccomp");
}

static void deny(const char *name, const char *error)
{
    unsigned number = 0, code = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            number = calls[i].number + 1;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, error) == 0)
            code = (unsigned)errors[i].number;
    if (!number || !code) {
        errno = EINVAL;
        stop(name);
    }
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number - 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof *filter);
}

// A filter cannot read a path, a signal handler can. What the handler lets pass
// it calls itself, with a mark in the sixth argument, which none of them has.
enum { MARK = 0x6c696d69 };
static char hidden[64];

static void on_system_call(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long number = registers[REG_RAX];
    (void)signal, (void)info;
    number = info->si_syscall;
    const char *path = (const char *)registers[
        number == SYS_open || number == SYS_readlink || number == SYS_stat
        || number == SYS_access ? REG_RDI : REG_RSI];
    size_t length = strlen(hidden);
    if (path && strncmp(path, hidden, length) == 0
        && (path[length] == '/' || !path[length])) {
        registers[REG_RAX] = -ENOENT;
        return;
    }
    register long r10 __asm__("r10") = registers[REG_R10];
    register long r8 __asm__("r8") = registers[REG_R8];
    register long r9 __asm__("r9") = MARK;
    long result;
    __asm__ volatile ("syscall" : "=a"(result)
                      : "a"(number), "D"(registers[REG_RDI]),
                        "S"(registers[REG_RSI]), "d"(registers[REG_RDX]),
                        "r"(r10), "r"(r8), "r"(r9)
                      : "rcx", "r11", "memory");
    registers[REG_RAX] = result;
}

static void seal(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof *filter);
}

static void hide(const char *path)
{
    struct sigaction action = { .sa_sigaction = on_system_call,
                                .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_access, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_readlink, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_stat, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    snprintf(hidden, sizeof hidden, "%s", path);
    if (sigaction(SIGSYS, &action, NULL) != 0)
        stop("sigaction");
    install(filter, sizeof filter / sizeof *filter);
}

// ------------------------------------------------------------------ rest ---

static int files[1 << 16], file_count;
static pthread_key_t keys[PTHREAD_KEYS_MAX];
static int key_count;
static char *mapping;
static size_t mapping_count;
static rlim_t memory_before = RLIM_INFINITY;

static void take_files(int rest)
{
    struct rlimit limit = { 64, 64 };
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_cur < 256 ? limit.rlim_cur : 256;
    setrlimit(RLIMIT_NOFILE, &limit);
    int file;
    while ((file = dup(0)) >= 0)
        files[file_count++] = file;
    while (rest-- > 0)
        close(files[--file_count]);
}

static void take_keys(int rest)
{
    while (pthread_key_create(&keys[key_count], NULL) == 0)
        key_count++;
    while (rest-- > 0)
        pthread_key_delete(keys[--key_count]);
}

static void take_memory(long rest)
{
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu", &pages) != 1)
        stop("statm");
    fclose(file);
    getrlimit(RLIMIT_AS, &limit);
    memory_before = limit.rlim_cur;
    limit.rlim_cur = pages * 4096 + (unsigned long)rest;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        stop("RLIMIT_AS");
}

// Each second page of a range is made readable, until there is no mapping left;
// then some are put together again.
static void take_mappings(int rest)
{
    enum { MOST = 1 << 20, PAGE = 4096 };
    mapping_count = (size_t)MOST * PAGE;
    mapping = mmap(NULL, mapping_count, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        stop("mmap");
    size_t at = PAGE;
    while (at < mapping_count && mprotect(mapping + at, PAGE, PROT_READ) == 0)
        at += 2 * PAGE;
    if (errno != ENOMEM)
        stop("mprotect");
    // The last one may have split one half.
    for (; rest > 0; rest -= 2) {
        at -= 2 * PAGE;
        mprotect(mapping + at, PAGE, PROT_NONE);
    }
    if (rest < 0)
        mprotect(mapping + mapping_count - PAGE, PAGE, PROT_READ);
}

static void set_resource(const char *name, rlim_t value)
{
    static const struct { const char *name; int number; } resources[] = {
        { "DATA", RLIMIT_DATA }, { "FSIZE", RLIMIT_FSIZE },
        { "SIGPENDING", RLIMIT_SIGPENDING }, { "MEMLOCK", RLIMIT_MEMLOCK },
        { "NPROC", RLIMIT_NPROC },
    };
    struct rlimit limit;
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (strcmp(resources[i].name, name) != 0)
            continue;
        getrlimit(resources[i].number, &limit);
        limit.rlim_cur = value;
        if (setrlimit(resources[i].number, &limit) == 0)
            return;
    }
    stop(name);
}

// CAP_IPC_LOCK is given up.
static void lock_memory(void)
{
    struct { unsigned version; int pid; } header = { 0x20080522, 0 };
    unsigned none[6] = { 0 };
    if (mlockall(MCL_FUTURE) != 0)
        stop("mlockall");
    if (syscall(SYS_capset, &header, none) != 0)
        stop("capset");
    set_resource("MEMLOCK", 4096);
}

static void lift(void)
{
    struct rlimit limit;
    while (file_count)
        close(files[--file_count]);
    while (key_count)
        pthread_key_delete(keys[--key_count]);
    if (mapping)
        munmap(mapping, mapping_count);
    mapping = NULL;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = memory_before;
    setrlimit(RLIMIT_AS, &limit);
}

// Several are separated by blanks.
__attribute__((visibility("default"))) int limit(const char *words)
{
    char text[4096], *rest, *word;
    snprintf(text, sizeof text, "%s", words);
    for (word = strtok_r(text, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        char *first = strchr(word, ':');
        if (first)
            *first++ = '\0';
        char *second = first ? strchr(first, ':') : NULL;
        if (second)
            *second++ = '\0';
        if (!strcmp(word, "deny"))
            deny(first, second);
        else if (!strcmp(word, "hide"))
            hide(first);
        else if (!strcmp(word, "files"))
            take_files(atoi(first));
        else if (!strcmp(word, "memory"))
            take_memory(atol(first));
        else if (!strcmp(word, "mappings"))
            take_mappings(atoi(first));
        else if (!strcmp(word, "keys"))
            take_keys(atoi(first));
        else if (!strcmp(word, "resource"))
            set_resource(first, strtoul(second, NULL, 0));
        else if (!strcmp(word, "lock"))
            lock_memory();
        else if (!strcmp(word, "seal"))
            seal();
        else if (!strcmp(word, "lift"))
            lift();
        else
            stop(word);
    }
    return 0;
}

// What env starts is limited, not env.
__attribute__((constructor)) static void begin(void)
{
    if (getenv("LIMIT") && strcmp(program_invocation_short_name, "env") != 0)
        limit(getenv("LIMIT"));
}
