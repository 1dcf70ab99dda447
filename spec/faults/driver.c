// Makes each allocation, or each system call, of a scenario fail in turn, each
// in a process of its own, and says what came of it.
//
//     driver SCENARIO calls|memory warm|cold one|all VARIANT FOLDER KEY=PATH...

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linking.h"
#include "state.h"
#include "tracer.h"

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct settings {
    const struct scenario *scenario;
    bool calls; // system calls fail, else allocations
    bool warm;  // all that is made once has been made
    bool all;   // that follow fail, too
    long variant;
} settings;

enum outcome {
    REFUSED,  // it failed, as it should
    HARMLESS, // it did what it should all the same
    WRONG,
};

// What a child tells the parent, in memory that they share.
static struct shared {
    enum outcome outcome;
    bool hit; // there was such a point
    struct tracer_report reports[2]; // of both attempts
    struct state reference; // what one round leaves behind
    bool have_reference;
    size_t used;
    char text[1 << 16];
} *shared;

static void complain(const char *format, const char *text)
{
    shared->outcome = WRONG;
    shared->used += (size_t)snprintf(shared->text + shared->used,
                                     sizeof shared->text - shared->used,
                                     format, text);
}

static e64_error error;

struct attempt {
    e64_status status;
    bool hit;
};

static struct attempt try(long at, struct tracer_report *report)
{
    struct attempt attempt;
    error = (e64_error){ .message = "" };
    if (settings.calls)
        tracer_begin(at, settings.variant,
                     settings.all ? TRACER_ALL : TRACER_ONE);
    else
        state_fail(at, settings.all);
    attempt.status = scenario_operate(settings.scenario, &error);
    if (settings.calls) {
        tracer_end(report);
        attempt.hit = report->number >= 0;
        if (report->heap.to)
            state_heap(report->heap.from, report->heap.to);
    } else {
        attempt.hit = state_failed();
        state_fail(0, false);
    }
    return attempt;
}

static void finish_round(void)
{
    const struct scenario *scenario = settings.scenario;
    if (!scenario_works(scenario))
        complain("    it was done, and does not work%s\n", "");
    scenario_undo(scenario);
}

// One round without a fault.
static void run_round(const char *when)
{
    const struct scenario *scenario = settings.scenario;
    scenario_ready(scenario);
    e64_status status = scenario_operate(scenario, &error);
    if (status != scenario->expected) {
        complain("    %s without a fault it fails: ", when);
        complain("%s\n", error.message);
        return;
    }
    if (status == E64_OK)
        finish_round();
}

static bool names_file(const char *message)
{
    return strstr(message, ".so") || strstr(message, ".o")
        || strstr(message, ".a") || strstr(message, ".map");
}

// A failure must be of the kind that tells the fault and name what it is about.
static void check_failure(const struct attempt *attempt)
{
    const struct scenario *scenario = settings.scenario;
    e64_status status = attempt->status;
    if (status == scenario->expected)
        return;
    if (status != E64_NOMEMORY && (!settings.calls || status != E64_SYSTEM))
        complain("    of the wrong kind: %s\n", error.message);
    if (status == E64_SYSTEM && !error.system_errno)
        complain("    without an errno: %s\n", error.message);
    if (!scenario->unnamed && !names_file(error.message)
        && !strstr(error.message, scenario_subject(scenario)))
        complain("    its message names no file: %s\n", error.message);
}

static void compare(const struct state *before, const struct state *after,
                    const char *when)
{
    const char *difference = state_difference(before, after);
    if (difference) {
        complain("    %s, this is different:", when);
        complain("%s\n", difference);
    }
}

// What cannot be unmapped, or sealed again, is done along with the next.
static bool is_put_off(const struct tracer_report *report)
{
    return report->number == SYS_munmap
        || (settings.all && report->number == SYS_mprotect);
}

static struct state first, second, again;

// In the child: the point number `at`.
static void test(long at)
{
    const struct scenario *scenario = settings.scenario;
    enum state_kind kind = settings.warm ? STATE_EXACT : STATE_OWN;
    enum state_kind after = settings.warm ? STATE_AGAIN : STATE_OWN;
    scenario_prepare(scenario);
    for (int i = 0; settings.warm && i < 2; i++)
        run_round("at first");
    scenario_ready(scenario);
    state_take(&again, after);
    state_take(&first, kind);
    bool clean = true;
    for (int i = 0; i < 2; i++) {
        struct tracer_report *report = &shared->reports[i];
        struct attempt attempt = try(at, report);
        if (i == 0) {
            shared->hit = attempt.hit;
            shared->outcome = attempt.status == scenario->expected ? HARMLESS
                                                                   : REFUSED;
        }
        if (attempt.status == E64_OK) {
            finish_round();
            // Tables are as large as the last addition made them.
            run_round("after a success");
            scenario_ready(scenario);
            clean = false;
        } else {
            check_failure(&attempt);
        }
        // What may not be unloaded stays after the first success.
        if (!clean && !settings.warm)
            continue;
        if (scenario->steps || is_put_off(report))
            continue;
        state_take(&second, clean ? kind : after);
        compare(clean ? &first : &again, &second,
                i ? "the second time" : "afterwards");
    }
    for (int i = 0; i < 2; i++)
        run_round("once more");
    scenario_ready(scenario);
    if (settings.warm) {
        state_take(&second, after);
        compare(&again, &second, "in the end");
    } else {
        scenario_settle();
        state_take(&second, STATE_LASTING);
        if (shared->have_reference)
            compare(&shared->reference, &second, "beside one that never "
                    "failed");
    }
    if (!scenario_finish(scenario))
        complain("    the host's library stays open%s\n", "");
    // A sanitizer cannot look for leaks while another traces the process.
    if (__lsan_do_recoverable_leak_check && !settings.calls
        && __lsan_do_recoverable_leak_check())
        complain("    it leaks%s\n", "");
}

// What is there after rounds in which nothing failed.
static void take_reference(void)
{
    const struct scenario *scenario = settings.scenario;
    scenario_prepare(scenario);
    for (int i = 0; i < 2; i++)
        run_round("at first");
    scenario_ready(scenario);
    scenario_settle();
    state_take(&shared->reference, STATE_LASTING);
    shared->have_reference = true;
}

static void run_child(long at)
{
    if (settings.calls)
        tracer_join();
    alarm(60);
    if (at)
        test(at);
    else
        take_reference();
    fflush(NULL);
    _exit(0);
}

static int run(long at)
{
    int status;
    shared->outcome = WRONG;
    shared->hit = at > 0; // unless it says otherwise: it may crash
    for (int i = 0; i < 2; i++)
        shared->reports[i] = (struct tracer_report){ .number = -1 };
    shared->used = 0;
    shared->text[0] = '\0';
    pid_t child = fork();
    if (child == 0)
        run_child(at);
    if (settings.calls)
        status = tracer_run(child);
    else
        waitpid(child, &status, 0);
    return status;
}

static void show(long at, int status)
{
    printf("point %ld", at);
    for (int i = 0; i < 2; i++)
        if (shared->reports[i].number >= 0)
            printf(" (%s: %s)", tracer_name(shared->reports[i].number),
                   strerror((int)shared->reports[i].error));
    printf(" of %s:\n", settings.scenario->name);
    if (WIFSIGNALED(status))
        printf("    ended by signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        printf("    ended with status %d\n", WEXITSTATUS(status));
    printf("%s", shared->text);
}

static bool setting(const char *word, const char *yes, const char *no)
{
    if (strcmp(word, yes) != 0 && strcmp(word, no) != 0) {
        fprintf(stderr, "%s or %s, not %s\n", yes, no, word);
        exit(2);
    }
    return strcmp(word, yes) == 0;
}

static const struct scenario *find(const struct scenario *list,
                                   const char *name)
{
    while (list->name && strcmp(list->name, name) != 0)
        list++;
    return list->name ? list : NULL;
}

static void read_words(int argc, char **argv)
{
    settings.scenario = find(scenarios, argv[1]);
    if (!settings.scenario)
        settings.scenario = find(linking_scenarios, argv[1]);
    if (!settings.scenario) {
        fprintf(stderr, "there is no scenario %s\n", argv[1]);
        exit(2);
    }
    settings.calls = setting(argv[2], "calls", "memory");
    settings.warm = setting(argv[3], "warm", "cold");
    settings.all = setting(argv[4], "all", "one");
    settings.variant = atol(argv[5]);
    state_folder = argv[6];
    for (int i = 7; i < argc; i++) {
        char *mark = strchr(argv[i], '=');
        *mark = '\0';
        scenario_path(argv[i], mark + 1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        for (const struct scenario *at = scenarios; at->name; at++)
            puts(at->name);
        for (const struct scenario *at = linking_scenarios; at->name; at++)
            puts(at->name);
        return 0;
    }
    read_words(argc, argv);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    state_allocator();
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = run(0);
    long refused = 0, harmless = 0, heaps = 0, wrong = status != 0, at = 1;
    if (status)
        show(0, status);
    for (shared->hit = !status; shared->hit; at++) {
        status = run(at);
        if (status || shared->outcome == WRONG) {
            show(at, status);
            wrong++;
        } else if (shared->hit) {
            refused += shared->outcome == REFUSED;
            harmless += shared->outcome == HARMLESS;
            heaps += shared->reports[0].heap.to != 0;
        }
    }
    // The last one was behind all of them.
    long points = at > 1 ? at - 2 : 0;
    printf("%s %s %s %s %ld: %ld points, %ld refused, %ld harmless, "
           "%ld with the heap in a mapping, %ld wrong\n", argv[1], argv[2],
           argv[3], argv[4], settings.variant, points, refused, harmless, heaps,
           wrong);
    return wrong ? 1 : 0;
}
