// Where a first call arrives from the PLT (psABI 5.2, "Procedure Linkage
// Table"), with two words more on the stack: whose PLT, and the number of the
// relocation. What was called goes on as if it had been called directly: all
// registers that may hold arguments are kept (psABI 3.2.3: rax for varargs and
// r10 for static chains among them, and whatever vectors the processor has);
// r11 alone is the PLT's to use.

#include "../tls/vectors_x86_64.h"

__asm__ (
    ".pushsection .text\n"
    ".p2align 4\n"
    ".globl lazy_entry_x86_64\n"
    ".hidden lazy_entry_x86_64\n"
    ".type lazy_entry_x86_64, @function\n"
    "lazy_entry_x86_64:\n"
    "    .cfi_startproc\n"
    "    .cfi_def_cfa_offset 24\n"
    "    endbr64\n"
    "    pushq %rbp\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    .cfi_rel_offset rbp, 0\n"
    "    movq %rsp, %rbp\n"
    "    .cfi_def_cfa_register rbp\n"
    "    pushq %rax\n"
    "    pushq %rdi\n"
    "    pushq %rsi\n"
    "    pushq %rdx\n"
    "    pushq %rcx\n"
    "    pushq %r8\n"
    "    pushq %r9\n"
    "    pushq %r10\n"
    "    pushq %rbx\n"
    "    .cfi_rel_offset rbx, -72\n"
    VECTORS_SAVE
    "    movq 8(%rbp), %rdi\n"
    "    movq 16(%rbp), %rsi\n"
    "    call lazy_bind\n"
    "    movq %rax, %r11\n"
    VECTORS_RESTORE
    "    leaq -72(%rbp), %rsp\n"
    "    popq %rbx\n"
    "    .cfi_restore rbx\n"
    "    popq %r10\n"
    "    popq %r9\n"
    "    popq %r8\n"
    "    popq %rcx\n"
    "    popq %rdx\n"
    "    popq %rsi\n"
    "    popq %rdi\n"
    "    popq %rax\n"
    "    popq %rbp\n"
    "    .cfi_def_cfa rsp, 24\n"
    "    .cfi_restore rbp\n"
    "    addq $16, %rsp\n"
    "    .cfi_adjust_cfa_offset -16\n"
    "    jmp *%r11\n"
    "    .cfi_endproc\n"
    ".size lazy_entry_x86_64, . - lazy_entry_x86_64\n"
    ".popsection\n");
