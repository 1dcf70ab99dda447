// Asks threads that run what is on their stacks: each looks at its own in a
// signal handler, where it stands still.

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "../lock.h"
#include "../memory.h"
#include "../tls/ask_x86_64.h"
#include "stacks_x86_64.h"

// One thread and its answer.
struct inquest {
    struct question question;
    struct stack_scan scan; // with a row of the inquiry's
};

// Has its own copy of all that the handlers look at: it stays until the last
// thread has answered, however late that is.
struct inquiry {
    struct inquiry *next; // of those that nobody waits for any more
    struct stack_search search;
    struct code_range *ranges;
    uintptr_t *restorers;
    atomic_uintptr_t *found;
    struct inquest *inquests;
    size_t count;
};

// From a stack pointer to the end of the stack, or of the memory that it lies
// in, page by page.
static RAW void look_from(struct stack_scan *scan, uintptr_t at)
{
    enum { PAGE = 4096, MOST = 1 << 26 };
    const uintptr_t last = at + MOST;
    bool more = raw_is_readable(at);
    while (more && at < last) {
        uintptr_t next = (at | (PAGE - 1)) + 1;
        more = raw_is_readable(next);
        size_t words = (next - at) / 8 + (more ? STACK_BEYOND : 0);
        if (stack_words(scan, (const uintptr_t *)at, words, at))
            break;
        at = next;
    }
}

static RAW int examine(struct question *question, const ucontext_t *context)
{
    struct stack_scan *scan = &((struct inquest *)question)->scan;
    const greg_t *registers = context->uc_mcontext.gregs;
    stack_note(scan, (uintptr_t)registers[REG_RIP]);
    look_from(scan, (uintptr_t)registers[REG_RSP] & ~(uintptr_t)7);
    if (scan->elsewhere)
        look_from(scan, scan->elsewhere & ~(uintptr_t)7);
    return ASK_ANSWERED;
}

static void discard(struct inquiry *inquiry)
{
    memory_free(inquiry->ranges);
    memory_free(inquiry->restorers);
    memory_free(inquiry->found);
    memory_free(inquiry->inquests);
    memory_free(inquiry);
}

static struct inquiry *make(const struct stack_search *search,
                            const int *threads, size_t count)
{
    struct inquiry *inquiry = memory_new(sizeof *inquiry);
    if (!inquiry)
        return NULL;
    const uint32_t restorers = search->restorer_count;
    inquiry->search = *search;
    inquiry->count = count;
    inquiry->ranges = memory_array(search->count, sizeof *inquiry->ranges);
    inquiry->restorers = memory_array(restorers + 1,
                                      sizeof *inquiry->restorers);
    inquiry->found = memory_array(count * search->owners,
                                  sizeof *inquiry->found);
    inquiry->inquests = memory_array(count, sizeof *inquiry->inquests);
    if (!inquiry->ranges || !inquiry->restorers || !inquiry->found
        || !inquiry->inquests) {
        discard(inquiry);
        return NULL;
    }
    memcpy(inquiry->ranges, search->ranges,
           search->count * sizeof *inquiry->ranges);
    // A late answer may come when the code has been unmapped: it is not looked
    // at, and each word that points into it counts.
    for (uint32_t i = 0; i < search->count; i++)
        inquiry->ranges[i].readable = false;
    memcpy(inquiry->restorers, search->restorers,
           restorers * sizeof *inquiry->restorers);
    inquiry->search.ranges = inquiry->ranges;
    inquiry->search.restorers = inquiry->restorers;
    for (size_t i = 0; i < count; i++) {
        struct inquest *inquest = &inquiry->inquests[i];
        inquest->question.tid = threads[i];
        inquest->question.examine = examine;
        inquest->scan.search = &inquiry->search;
        inquest->scan.found = inquiry->found + i * search->owners;
    }
    return inquiry;
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

static bool is_pending(struct inquiry *inquiry)
{
    bool pending = false;
    for (size_t i = 0; i < inquiry->count; i++)
        pending |= question_is_pending(&inquiry->inquests[i].question);
    return pending;
}

// A close must not last for long, and will be followed by others. Where the
// processors are too busy for threads to answer in that time, though, plugins
// would pile up: the more of them there are, the longer it is worth waiting.
static void wait_for(struct inquiry *inquiry)
{
    enum { FOR_EACH = 3, LONGEST = 300 };
    int64_t start = now_ms(), longest = FOR_EACH * inquiry->search.owners;
    if (longest > LONGEST)
        longest = LONGEST;
    while (is_pending(inquiry) && now_ms() - start < longest)
        usleep(20);
}

// ---------------------------------------------------------------- the late ---

// Threads that do not run at all are not asked over and over.
enum { MOST_LATE = 32 };

// Guards the list. A leaf.
static struct lock lock = LOCK_INITIALIZER;
static struct inquiry *late;

static void keep(struct inquiry *inquiry)
{
    lock_take(&lock);
    inquiry->next = late;
    late = inquiry;
    lock_give(&lock);
}

size_t stacks_look_after_late(void)
{
    size_t count = 0;
    lock_take(&lock);
    for (struct inquiry **at = &late; *at; ) {
        struct inquiry *inquiry = *at;
        if (is_pending(inquiry)) {
            at = &inquiry->next;
            count++;
        } else {
            *at = inquiry->next;
            discard(inquiry);
        }
    }
    lock_give(&lock);
    return count;
}

void stacks_before_fork(void)
{
    lock_before_fork(&lock);
}

void stacks_after_fork(bool child)
{
    lock_after_fork(&lock, child);
}

// --------------------------------------------------------------- asking ---

static void report(const struct inquiry *inquiry, const struct inquest *inquest)
{
    const struct stack_search *search = &inquiry->search;
    int answer = atomic_load(&inquest->question.answer);
    for (uint32_t i = 0; i < search->owners && answer != ASK_ENDED; i++) {
        uintptr_t address = atomic_load(&inquest->scan.found[i]);
        if (address || answer == ASK_ASKED)
            search->report(search->data, inquest->question.tid, i, address);
    }
}

static void ask(const struct stack_search *search, struct inquiry *inquiry)
{
    for (size_t i = 0; i < inquiry->count; i++) {
        struct question *question = &inquiry->inquests[i].question;
        if (question_ask(question) != E64_OK) {
            atomic_store(&question->answer, ASK_ENDED);
            search->miss(search->data, error_pending()->message);
        }
    }
    wait_for(inquiry);
}

bool stacks_ask(const struct stack_search *search, const int *threads,
                size_t count)
{
    struct inquiry *inquiry = make(search, threads, count);
    if (!inquiry)
        return false;
    bool asked = stacks_look_after_late() < MOST_LATE;
    if (asked)
        ask(search, inquiry);
    for (size_t i = 0; i < count; i++)
        report(inquiry, &inquiry->inquests[i]);
    if (asked && is_pending(inquiry))
        keep(inquiry);
    else
        discard(inquiry);
    return true;
}
