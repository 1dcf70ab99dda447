// Code that is made at run time: a page of thunks, which is never written to
// again, and a page of words behind it, one for each. They all go on in one
// function, which stores the registers that arguments come in.

#include "call/thunk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "mapping.h"

// Bytes of a thunk. The first of a page is not one: they jump there.
enum { PAGE = 4096, THUNK = 16, THUNKS = PAGE / THUNK };

static uint8_t *pages;   // the last that were made
static uint32_t used;    // of them
static void *free_thunk; // the first of those given back: a list by their words

void thunk_entry(void);

// 112 bytes of registers, 16 of the result, and what has been pushed: then what
// the caller put on the stack.
__asm__ (
    "   .text\n"
    "   .globl thunk_entry\n"
    "   .hidden thunk_entry\n"
    "   .hidden call_thunk_called\n"
    "   .type thunk_entry, @function\n"
    "thunk_entry:\n"
    "   .cfi_startproc\n"
    "   pushq %rbp\n"
    "   .cfi_def_cfa_offset 16\n"
    "   .cfi_offset %rbp, -16\n"
    "   movq %rsp, %rbp\n"
    "   .cfi_def_cfa_register %rbp\n"
    "   subq $128, %rsp\n"
    "   movq %rdi, 0(%rsp)\n"
    "   movq %rsi, 8(%rsp)\n"
    "   movq %rdx, 16(%rsp)\n"
    "   movq %rcx, 24(%rsp)\n"
    "   movq %r8, 32(%rsp)\n"
    "   movq %r9, 40(%rsp)\n"
    "   movsd %xmm0, 48(%rsp)\n"
    "   movsd %xmm1, 56(%rsp)\n"
    "   movsd %xmm2, 64(%rsp)\n"
    "   movsd %xmm3, 72(%rsp)\n"
    "   movsd %xmm4, 80(%rsp)\n"
    "   movsd %xmm5, 88(%rsp)\n"
    "   movsd %xmm6, 96(%rsp)\n"
    "   movsd %xmm7, 104(%rsp)\n"
    "   leaq 112(%rsp), %rdx\n"
    "   movq $0, (%rdx)\n"
    "   movq $0, 8(%rdx)\n"
    "   movq %rsp, %rsi\n"
    "   movq %r10, %rdi\n"
    "   call call_thunk_called\n"
    "   movq 112(%rsp), %rax\n"
    "   movsd 112(%rsp), %xmm0\n"
    "   leave\n"
    "   .cfi_def_cfa %rsp, 8\n"
    "   ret\n"
    "   .cfi_endproc\n"
    "   .size thunk_entry, . - thunk_entry\n"
);

static void **word_of(void *thunk)
{
    uintptr_t at = (uintptr_t)thunk, page = at & ~(uintptr_t)(PAGE - 1);
    return (void **)(page + PAGE) + (at - page) / THUNK;
}

static void write_thunks(uint8_t *page)
{
    static const uint8_t first[] = {
        0xff, 0x25, 0xfa, 0x0f, 0x00, 0x00, // jmp *page + PAGE
    };
    static const uint8_t other[THUNK] = {
        0xf3, 0x0f, 0x1e, 0xfa,                   // endbr64
        0x4c, 0x8b, 0x15, 0x00, 0x00, 0x00, 0x00, // mov word(%rip), %r10
        0xe9, 0x00, 0x00, 0x00, 0x00,             // jmp page
    };
    enum { WORD = 7, WORD_END = 11, FIRST = 12 };
    memset(page, 0xcc, THUNK); // int3
    memcpy(page, first, sizeof first);
    for (int32_t i = 1; i < THUNKS; i++) {
        int32_t word = PAGE + i * (int32_t)sizeof(void *) - i * THUNK
                       - WORD_END;
        int32_t back = -(i + 1) * THUNK;
        memcpy(page + i * THUNK, other, THUNK);
        memcpy(page + i * THUNK + WORD, &word, sizeof word);
        memcpy(page + i * THUNK + FIRST, &back, sizeof back);
    }
}

static bool add_pages(void)
{
    uint8_t *made = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        return false;
    write_thunks(made);
    *word_of(made) = (void *)thunk_entry;
    if (mprotect(made, PAGE, PROT_READ | PROT_EXEC) != 0) {
        mapping_drop(made, 2 * PAGE);
        return false;
    }
    pages = made;
    used = 1;
    return true;
}

void *thunk_new(void *data)
{
    void *thunk = free_thunk;
    if (thunk)
        free_thunk = *word_of(thunk);
    else if ((pages && used < THUNKS) || add_pages())
        thunk = pages + THUNK * used++;
    else
        return NULL;
    *word_of(thunk) = data;
    return thunk;
}

void thunk_free(void *thunk)
{
    *word_of(thunk) = free_thunk;
    free_thunk = thunk;
}
