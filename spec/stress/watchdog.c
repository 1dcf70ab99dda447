#include "watchdog.h"

#include <execinfo.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loaders.h"

enum { DEPTH = 12 };

static struct entry {
    atomic_int thread; // 0: nobody
    atomic_int depth;
    atomic_long since;
    struct {
        _Atomic(const char *) what;
        atomic_int file;
    } doing[DEPTH];
} entries[WATCHED];

static __thread struct entry *own;
static int patience;

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec;
}

void watchdog_enter(int place)
{
    own = &entries[place];
    atomic_store(&own->depth, 0);
    atomic_store(&own->since, now());
    atomic_store(&own->thread, (int)syscall(SYS_gettid));
}

void watchdog_leave(void)
{
    atomic_store(&own->thread, 0);
    own = NULL;
}

void watchdog_push(const char *what, int file)
{
    if (!own)
        return;
    int depth = atomic_fetch_add(&own->depth, 1);
    atomic_store(&own->since, now());
    if (depth < DEPTH) {
        atomic_store(&own->doing[depth].what, what);
        atomic_store(&own->doing[depth].file, file);
    }
}

void watchdog_pop(void)
{
    if (!own)
        return;
    atomic_fetch_sub(&own->depth, 1);
    atomic_store(&own->since, now());
}

static void describe(const struct entry *entry)
{
    int depth = atomic_load(&entry->depth);
    fprintf(stderr, "thread %d, for %ld s:", atomic_load(&entry->thread),
            now() - atomic_load(&entry->since));
    for (int i = 0; i < depth && i < DEPTH; i++) {
        int file = atomic_load(&entry->doing[i].file);
        fprintf(stderr, "%s %s", i ? ", where it" : "",
                atomic_load(&entry->doing[i].what));
        if (file)
            fprintf(stderr, " %d (%s)", file, stress_path(file));
    }
    fputs(depth ? "\n" : " between two things\n", stderr);
}

static const struct entry *find(int thread)
{
    for (int i = 0; i < WATCHED; i++)
        if (thread && atomic_load(&entries[i].thread) == thread)
            return &entries[i];
    return NULL;
}

// A thread that sleeps in a futex with the value 2 wants a mutex, whose owner
// stands behind that word (glibc's struct __pthread_mutex_s).
static void say_holder(int thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    FILE *file = fopen(path, "r");
    unsigned long number = 0, word = 0, operation = 0, value = 0;
    int count = file ? fscanf(file, "%lu %lx %lx %lx", &number, &word,
                              &operation, &value) : 0;
    if (file)
        fclose(file);
    if (count != 4 || number != SYS_futex)
        return;
    if ((operation & FUTEX_CMD_MASK) != FUTEX_WAIT || value != 2) {
        fprintf(stderr, "    waits for a condition at 0x%lx\n", word);
        return;
    }
    const int *mutex = (const int *)word;
    fprintf(stderr, "    waits for the mutex at 0x%lx, which thread %d has%s\n",
            word, mutex[2], find(mutex[2]) ? "" : ", none of ours");
}

void watchdog_backtrace(pid_t process)
{
    char text[32];
    snprintf(text, sizeof text, "%d", (int)process);
    pid_t child = vfork();
    if (child == 0) {
        dup2(2, 1);
        execlp("timeout", "timeout", "-s", "KILL", "60", "gdb", "-q", "-batch",
               "-p", text, "-ex", "set print thread-events off", "-ex",
               "thread apply all bt 20", (char *)NULL);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

static void give_up(void)
{
    fprintf(stderr, "A thread has done nothing for %d seconds.\n", patience);
    for (int i = 0; i < WATCHED; i++) {
        int thread = atomic_load(&entries[i].thread);
        if (thread) {
            describe(&entries[i]);
            say_holder(thread);
        }
    }
    watchdog_backtrace(getpid());
    abort();
}

// A child says itself what it was doing when it has taken too long.
static void die_of_alarm(int number)
{
    void *frames[40];
    signal(number, SIG_DFL);
    alarm(2);
    if (own)
        describe(own);
    backtrace_symbols_fd(frames, backtrace(frames, 40), 2);
    _exit(number);
}

void watchdog_is_child(void)
{
    signal(SIGALRM, die_of_alarm);
    alarm(patience - patience / 4);
}

static bool is_stuck(void)
{
    for (int i = 0; i < WATCHED; i++)
        if (atomic_load(&entries[i].thread)
            && now() - atomic_load(&entries[i].since) > patience
            && atomic_load(&entries[i].depth))
            return true;
    return false;
}

static void *watch(void *data)
{
    for (;;) {
        sleep(1);
        if (is_stuck())
            give_up();
    }
    return data;
}

// The first thread that dies says where all are.
static void die(int signal)
{
    static atomic_flag dying = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&dying))
        pause();
    if (own)
        describe(own);
    watchdog_backtrace(getpid());
    _exit(128 + signal);
}

void watchdog_start(int seconds)
{
    pthread_t thread;
    patience = seconds;
    signal(SIGSEGV, die);
    signal(SIGBUS, die);
    signal(SIGABRT, die);
    pthread_create(&thread, NULL, watch, NULL);
    pthread_detach(thread);
}
