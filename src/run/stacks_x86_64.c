// What return addresses look like on this machine.

#include "stacks_x86_64.h"

#include <ucontext.h>

#include "../tls/ask_x86_64.h"

RAW const struct code_range *code_find(const struct code_range *ranges,
                                       uint32_t count, uintptr_t address)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].start <= address ? &ranges[low] : NULL;
}

// The length of "call r/m64" (Intel SDM, CALL: FF /2) by its ModRM and SIB
// bytes, prefixes not counted; 0 when it is none.
static RAW int indirect_call(unsigned char modrm, unsigned char sib)
{
    int mode = modrm >> 6, base = modrm & 7;
    if ((modrm >> 3 & 7) != 2)
        return 0;
    if (mode == 3)
        return 2;
    int length = 2 + (base == 4) + (mode == 1 ? 1 : mode == 2 ? 4 : 0);
    // No base, or none but the instruction pointer: 32 bits follow.
    if (mode == 0 && (base == 5 || (base == 4 && (sib & 7) == 5)))
        length += 4;
    return length;
}

static RAW bool follows_call(const struct code_range *range, uintptr_t address)
{
    const unsigned char *at = (const unsigned char *)address;
    uintptr_t before = address - range->start;
    if (!range->readable)
        return true;
    if (before >= 5 && at[-5] == 0xe8) // call rel32
        return true;
    for (int length = 2; length <= 7 && (uintptr_t)length <= before; length++)
        if (at[-length] == 0xff
            && indirect_call(at[1 - length],
                             length > 2 ? at[2 - length] : 0) == length)
            return true;
    return false;
}

static RAW void note(const struct stack_scan *scan, uint32_t owner,
                     uintptr_t address)
{
    if (!atomic_load(&scan->found[owner]))
        atomic_store(&scan->found[owner], address);
}

RAW void stack_note(const struct stack_scan *scan, uintptr_t address)
{
    const struct code_range *range = code_find(scan->search->ranges,
                                               scan->search->count, address);
    if (range)
        note(scan, range->owner, address);
}

// The frame of a signal handler: the address that it returns to, then the
// interrupted context, with the instruction and the stack pointer in it, and
// the stack that the thread had for handlers (psABI 3.4, sigaction(2) and
// sigaltstack(2)). Where the handler is on that one and what it has interrupted
// is not, the latter has a stack of its own; else it comes right after the
// frame. Words that only look like a frame do not lead anywhere.
enum { FLAGS = 1 + offsetof(ucontext_t, uc_flags) / 8,
       LINK = 1 + offsetof(ucontext_t, uc_link) / 8,
       REGISTERS = 1 + (offsetof(ucontext_t, uc_mcontext)
                        + offsetof(mcontext_t, gregs)) / 8,
       POINTER = REGISTERS + REG_RIP, STACK = REGISTERS + REG_RSP,
       OWN = 1 + offsetof(ucontext_t, uc_stack) / 8,
       START = OWN + offsetof(stack_t, ss_sp) / 8,
       SIZE = OWN + offsetof(stack_t, ss_size) / 8 };
_Static_assert((int)POINTER < (int)STACK_BEYOND
               && (int)STACK < (int)POINTER && (int)SIZE < (int)POINTER,
               "STACK_BEYOND");

// A frame that has been left, and written over in part, must not lead into what
// another thread may be unmapping. The kernel uses three bits of uc_flags, and
// no uc_link; nobody has so large a stack for handlers.
static RAW bool is_on_own_stack(const uintptr_t *word, uintptr_t address)
{
    enum { MOST_FLAGS = 7, MOST_SIZE = 1 << 26 };
    return word[FLAGS] <= MOST_FLAGS && !word[LINK]
        && word[SIZE] <= MOST_SIZE && address - word[START] < word[SIZE]
        && word[STACK] - word[START] >= word[SIZE];
}

static RAW void look_at_signal(struct stack_scan *scan, const uintptr_t *word,
                               const uintptr_t *end, uintptr_t address)
{
    for (uint32_t i = 0; i < scan->search->restorer_count; i++)
        if (*word == scan->search->restorers[i] && end - word > POINTER) {
            stack_note(scan, word[POINTER]);
            if (!scan->elsewhere && is_on_own_stack(word, address))
                scan->elsewhere = word[STACK];
        }
}

// A thread's descriptor lies above its stack, and below it the thread's static
// block. It begins with its own address, which stands at 16 again (tcbhead_t);
// glibc aligns it to 64 bytes.
static RAW bool is_descriptor(const uintptr_t *word, const uintptr_t *end,
                              uintptr_t address)
{
    return *word == address && address % 64 == 0 && end - word > 2
        && word[2] == address;
}

RAW bool stack_words(struct stack_scan *scan, const uintptr_t *words,
                     size_t count, uintptr_t address)
{
    const struct stack_search *search = scan->search;
    const uintptr_t *end = words + count;
    uintptr_t low = search->ranges[0].start;
    uintptr_t high = search->ranges[search->count - 1].end;
    for (const uintptr_t *word = words; word < end; word++, address += 8) {
        if (is_descriptor(word, end, address))
            return true;
        look_at_signal(scan, word, end, address);
        if (*word < low || *word > high)
            continue;
        // A call may be the last instruction of a range.
        const struct code_range *range = code_find(search->ranges,
                                                   search->count, *word - 1);
        if (range && follows_call(range, *word))
            note(scan, range->owner, *word);
    }
    return false;
}
