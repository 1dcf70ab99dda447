// What a TLS descriptor does when a thread has no block of its module yet. Its
// callers keep all registers but rax, vector registers too, so what may clobber
// them is saved around the one call into C: by xsavec, xsave or fxsave, as the
// processor has them.

#include <cpuid.h>
#include <pthread.h>
#include <stdbool.h>

#include "module.h"
#include "vectors_x86_64.h"

// What the slow path saves: x87, SSE, AVX, MPX, AVX-512 (opmask, upper halves,
// upper registers). PKRU is no register in this sense, and AMX is not touched
// by what is called.
enum { SAVED_MASK = 0xef };

enum save { SAVE_FXSAVE, SAVE_XSAVE, SAVE_XSAVEC };

__attribute__((visibility("hidden"))) int tls_descriptor_save;
__attribute__((visibility("hidden"))) uint64_t tls_descriptor_size = 512;

// The size of the area for the components of the mask (Intel SDM 13.5).
static void choose(void)
{
    uint32_t a, b, c, d, size = 576;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)
        || !__get_cpuid_count(0xd, 1, &a, &b, &c, &d))
        return;
    bool compact = a & 2;
    for (uint32_t i = 2; i < 8; i++) {
        if (!(SAVED_MASK >> i & 1) || !__get_cpuid_count(0xd, i, &a, &b, &c,
                                                         &d) || !a)
            continue;
        if (!compact)
            size = b + a > size ? b + a : size;
        else
            size = (c & 2 ? (size + 63) & ~63u : size) + a;
    }
    tls_descriptor_size = (size + 63) & ~63u;
    tls_descriptor_save = compact ? SAVE_XSAVEC : SAVE_XSAVE;
}

void tls_descriptor_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

// Called with all registers saved.
__attribute__((visibility("hidden"), used))
int64_t tls_descriptor_find(struct tls_descriptor *descriptor)
{
    return (char *)tls_get_addr(&descriptor->index)
         - (char *)__builtin_thread_pointer();
}

__asm__ (
    // Jumped to with the descriptor in rax, and the caller's rdi in the red
    // zone.
    ".pushsection .text\n"
    ".globl tls_descriptor_slow\n"
    ".hidden tls_descriptor_slow\n"
    ".type tls_descriptor_slow, @function\n"
    "tls_descriptor_slow:\n"
    "    .cfi_startproc\n"
    "    movq -8(%rsp), %rdi\n"
    "    pushq %rbp\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    .cfi_rel_offset rbp, 0\n"
    "    movq %rsp, %rbp\n"
    "    .cfi_def_cfa_register rbp\n"
    "    pushq %rdi\n"
    "    pushq %rsi\n"
    "    pushq %rdx\n"
    "    pushq %rcx\n"
    "    pushq %r8\n"
    "    pushq %r9\n"
    "    pushq %r10\n"
    "    pushq %r11\n"
    "    pushq %rbx\n"
    "    movq %rax, %rdi\n"
    VECTORS_SAVE
    "    call tls_descriptor_find\n"
    "    movq %rax, %rdi\n"
    VECTORS_RESTORE
    "    movq %rdi, %rax\n"
    "    leaq -72(%rbp), %rsp\n"
    "    popq %rbx\n"
    "    popq %r11\n"
    "    popq %r10\n"
    "    popq %r9\n"
    "    popq %r8\n"
    "    popq %rcx\n"
    "    popq %rdx\n"
    "    popq %rsi\n"
    "    popq %rdi\n"
    "    popq %rbp\n"
    "    .cfi_def_cfa rsp, 8\n"
    "    .cfi_restore rbp\n"
    "    ret\n"
    "    .cfi_endproc\n"
    ".popsection\n");
