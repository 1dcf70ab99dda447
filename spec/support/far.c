// Runs instructions twice, as they are and rewritten to reach further: with the
// same registers and data they must do the same. Each is a line of the table
// below, with its data at `near` or, as a constant, the address of `near`; what
// is rewritten has its data beyond 2 GB.
//
// Built with src/link/far_x86_64.c and length_x86_64.c, without -fPIC.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "link/far.h"
#include "link/length_x86_64.h"

struct state {
    uint64_t regs[16]; // rsp is not used
    uint64_t flags;
    uint8_t vector[8][16];
};

__asm__(".pushsection .text\n"
    // run(state in rdi, code in rsi): loads all, calls the code, keeps all.
    ".globl run\nrun:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "sub $40, %rsp; mov %rdi, 8(%rsp); mov %rsi, (%rsp)\n"
    "movdqu 136(%rdi), %xmm0; movdqu 152(%rdi), %xmm1\n"
    "movdqu 200(%rdi), %xmm4\n"
    "pushq 128(%rdi); popfq\n"
    "mov (%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx\n"
    "mov 24(%rdi), %rbx; mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
    "mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10\n"
    "mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
    "mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
    "call *(%rsp)\n"
    "mov %rdi, 16(%rsp); mov 8(%rsp), %rdi\n"
    "mov %rax, (%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi)\n"
    "mov %rbx, 24(%rdi); mov %rbp, 40(%rdi); mov %rsi, 48(%rdi)\n"
    "mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi)\n"
    "mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
    "mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
    "mov 16(%rsp), %rax; mov %rax, 56(%rdi)\n"
    "pushfq; popq 128(%rdi)\n"
    "movdqu %xmm0, 136(%rdi); movdqu %xmm1, 152(%rdi)\n"
    "movdqu %xmm4, 200(%rdi)\n"
    "add $40, %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection\n");
void run(struct state *state, const void *code);

uint64_t near[64] __attribute__((aligned(64)));

// Words of the second kind are those of a constant, or of an address that is
// not relative.
enum { RELATIVE, ABSOLUTE };

#define CASES(CASE)                                                          \
    CASE(RELATIVE, "mov near(%rip), %rax")                                   \
    CASE(RELATIVE, "mov near(%rip), %ecx")                                   \
    CASE(RELATIVE, "mov near+8(%rip), %r12")                                 \
    CASE(RELATIVE, "mov near+8(%rip), %r13")                                 \
    CASE(RELATIVE, "mov near(%rip), %rbp")                                   \
    CASE(RELATIVE, "mov near+4(%rip), %dx")                                  \
    CASE(RELATIVE, "mov near+5(%rip), %dh")                                  \
    CASE(RELATIVE, "mov near+5(%rip), %bh")                                  \
    CASE(RELATIVE, "mov near+5(%rip), %sil")                                 \
    CASE(RELATIVE, "lea near+24(%rip), %rdi; mov (%rdi), %rdi")              \
    CASE(RELATIVE, "lea near+24(%rip), %r13; mov (%r13), %r13")              \
    CASE(RELATIVE, "movzbl near+3(%rip), %eax")                              \
    CASE(RELATIVE, "movzwl near+2(%rip), %r8d")                              \
    CASE(RELATIVE, "movsbq near+3(%rip), %r12")                              \
    CASE(RELATIVE, "movslq near+3(%rip), %rbx")                              \
    CASE(RELATIVE, "mov %rax, near(%rip)")                                   \
    CASE(RELATIVE, "mov %sil, near+1(%rip)")                                 \
    CASE(RELATIVE, "mov %r9d, near+16(%rip)")                                \
    CASE(RELATIVE, "mov %bh, near+2(%rip)")                                  \
    CASE(RELATIVE, "movl $7, near+12(%rip)")                                 \
    CASE(RELATIVE, "movq $-9, near+12(%rip)")                                \
    CASE(RELATIVE, "movw $0x1234, near+2(%rip)")                             \
    CASE(RELATIVE, "movb $3, near+2(%rip)")                                  \
    CASE(RELATIVE, "add near(%rip), %rsi")                                   \
    CASE(RELATIVE, "adc %rdi, near(%rip)")                                   \
    CASE(RELATIVE, "addl $1, near(%rip)")                                    \
    CASE(RELATIVE, "subq $0x12345, near(%rip)")                              \
    CASE(RELATIVE, "cmpl $5, near(%rip)")                                    \
    CASE(RELATIVE, "cmpb $5, near(%rip)")                                    \
    CASE(RELATIVE, "test %rsi, near(%rip)")                                  \
    CASE(RELATIVE, "testl $0x10000, near(%rip)")                             \
    CASE(RELATIVE, "lock xadd %rsi, near(%rip)")                             \
    CASE(RELATIVE, "lock cmpxchg %rdi, near(%rip)")                          \
    CASE(RELATIVE, "cmovne near(%rip), %rsi")                                \
    CASE(RELATIVE, "imul near(%rip), %rdi")                                  \
    CASE(RELATIVE, "imul $3, near(%rip), %rdi")                              \
    CASE(RELATIVE, "mulq near(%rip)")                                        \
    CASE(RELATIVE, "negq near(%rip)")                                        \
    CASE(RELATIVE, "shll $3, near(%rip)")                                    \
    CASE(RELATIVE, "shlq %cl, near(%rip)")                                   \
    CASE(RELATIVE, "incl near(%rip)")                                        \
    CASE(RELATIVE, "sete near(%rip)")                                        \
    CASE(RELATIVE, "btsq $5, near(%rip)")                                    \
    CASE(RELATIVE, "shld $5, %rsi, near(%rip)")                              \
    CASE(RELATIVE, "popcnt near(%rip), %rsi")                                \
    CASE(RELATIVE, "movsd near(%rip), %xmm0")                                \
    CASE(RELATIVE, "movsd %xmm4, near+8(%rip)")                              \
    CASE(RELATIVE, "movaps near(%rip), %xmm4")                               \
    CASE(RELATIVE, "addsd near(%rip), %xmm1")                                \
    CASE(RELATIVE, "cvtsi2sdl near(%rip), %xmm0")                            \
    CASE(RELATIVE, "cvttss2si near(%rip), %esi")                             \
    CASE(RELATIVE, "movq near(%rip), %xmm1")                                 \
    CASE(RELATIVE, "pshufd $0x1b, near(%rip), %xmm0")                        \
    CASE(RELATIVE, "pshufb near(%rip), %xmm0")                               \
    CASE(RELATIVE, "fldl near(%rip); fstpl near+8(%rip)")                    \
    CASE(RELATIVE, "movbe near(%rip), %rsi")                                 \
    CASE(ABSOLUTE, "mov $near, %eax; mov (%rax), %rax")                      \
    CASE(ABSOLUTE, "mov $near+8, %r12d; mov (%r12), %r12")                   \
    CASE(ABSOLUTE, "movq $near+8, %rsi; mov (%rsi), %rsi")                   \
    CASE(ABSOLUTE, "mov near, %ecx")                                         \
    CASE(ABSOLUTE, "mov near, %rdi")                                         \
    CASE(ABSOLUTE, "mov %rsi, near+16")                                      \
    CASE(ABSOLUTE, "and $7, %edi; mov near(,%rdi,8), %rsi")                  \
    CASE(ABSOLUTE, "and $7, %edi; mov near(%rdi), %sil")                     \
    CASE(ABSOLUTE, "and $7, %r13d; movzbl near(%r13), %esi")                 \
    CASE(ABSOLUTE, "and $7, %r9d; mov %sil, near(%r9)")                      \
    CASE(ABSOLUTE, "and $3, %r13d; and $3, %esi;"                            \
                   "add $1, near(%r13,%rsi,4)")                              \
    CASE(ABSOLUTE, "and $3, %edi; and $3, %esi; mov near(%rdi,%rsi,4), %al") \
    CASE(ABSOLUTE, "and $7, %edi; lea near(,%rdi,4), %rcx; mov (%rcx), %rcx")\
    CASE(ABSOLUTE, "movq $near+8, -32(%rsp); mov -32(%rsp), %rax;"           \
                   "mov (%rax), %rax; movq $0, -32(%rsp)")                   \
    CASE(ABSOLUTE, "push $near; pop %rcx; mov (%rcx), %rcx")                 \
    CASE(ABSOLUTE, "mov $near, %esi; cmp $near, %rsi; mov $0, %esi")         \
    CASE(ABSOLUTE, "mov $near, %eax; cmp $near, %rax; mov $0, %eax")


#define EMIT(kind, text)                                                     \
    __asm__(".pushsection .text\n.balign 16\n" \
            ".pushsection .data.cases,\"aw\"\n.quad 661f, 662f\n"            \
            ".popsection\n661: " text "\n ret\n662:\n.popsection\n");
__asm__(".pushsection .data.cases,\"aw\"\n"
        ".globl bounds\nbounds:\n.popsection\n");
CASES(EMIT)
extern const uint8_t *bounds[][2];

#define TEXT(kind, text) { kind, text },
static const struct { int kind; const char *text; } cases[] = { CASES(TEXT) };

static void fill(struct state *state, uint64_t *data, unsigned seed)
{
    srandom(seed);
    for (size_t i = 0; i < sizeof *state / 4; i++)
        ((uint32_t *)state)[i] = (uint32_t)random() * 2654435761u;
    state->flags = 0x202 | (seed & 1) | (seed & 2) << 5;
    state->regs[4] = 0;
    for (int i = 0; i < 64; i++)
        data[i] = (uint64_t)random() << 33 ^ (uint64_t)random();
}

// Where in the instruction the word is: the one that leads to `near`.
static long find_word(const uint8_t *code, size_t size, int kind)
{
    for (size_t at = 0; at + 4 <= size; at++) {
        int32_t word;
        memcpy(&word, code + at, 4);
        for (int after = 4; after <= 8; after++) {
            const uint8_t *target = kind == RELATIVE
                ? code + at + after + word : (uint8_t *)(intptr_t)word;
            if (target >= (uint8_t *)near && target < (uint8_t *)(near + 8)
                && (kind == ABSOLUTE ? after == 4 : 1))
                return (long)at;
        }
    }
    return -1;
}

// What it refers to, by A and the distance to the end of the instruction.
static int64_t offset_of(const uint8_t *code, long at, int kind)
{
    int32_t word;
    memcpy(&word, code + at, 4);
    return kind == RELATIVE ? code + at + word - (uint8_t *)near
                            : (uint8_t *)(intptr_t)word - (uint8_t *)near;
}

static const char *try(int number, uint8_t *room, uint64_t *distant)
{
    const uint8_t *begin = bounds[number][0], *end = bounds[number][1];
    size_t size = (size_t)(end - begin);
    struct state before, after, other;
    uint64_t data[64], first[64];
    uint8_t *code = room;
    long at;
    for (unsigned seed = 0; seed < 20; seed++) {
        memset(room, 0xcc, 4096);
        memcpy(code, begin, size);
        fill(&before, data, seed);
        memcpy(near, data, sizeof data);
        after = before;
        run(&after, begin);
        memcpy(first, near, sizeof first);
        memset(near, 0, sizeof near);
        memcpy(distant, data, sizeof data);
        uint8_t *stub = room + 1024;
        uint64_t from = 0;
        // An instruction may have it twice in one case.
        while ((at = find_word(begin + from, size - from, cases[number].kind))
               >= 0) {
            const struct far_word word = {
                .place = code + from + at, .code = code, .stub = stub,
                .end = code + size,
            };
            int64_t offset = offset_of(begin + from, at, cases[number].kind);
            const char *why = far_rewrite(
                &word, (uint64_t)((uint8_t *)distant + offset),
                cases[number].kind == RELATIVE);
            if (why)
                return why;
            stub += FAR_STUB_SIZE;
            from += (uint64_t)at + 4;
        }
        if (!from)
            return "the word was not found";
        other = before;
        run(&other, code);
        if (memcmp(first, distant, sizeof first) != 0)
            return "other data";
        if (after.flags != other.flags)
            return "other flags";
        for (int i = 0; i < 16; i++)
            if (after.regs[i] != other.regs[i])
                return "other registers";
        if (memcmp(&after, &other, sizeof after) != 0)
            return "other vectors";
    }
    return NULL;
}

int main(void)
{
    int count = sizeof cases / sizeof *cases, bad = 0;
    uint8_t *room = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *distant = mmap((void *)0x7e0000000000, 4096,
                             PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < count; i++) {
        const char *why = try(i, room, distant);
        if (why)
            printf("%s: %s\n", cases[i].text, why);
        bad += why != NULL;
    }
    printf("%d of %d\n", count - bad, count);
    return bad != 0;
}
