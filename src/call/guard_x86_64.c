// A frame that catches, in C: a function with a personality of its own (psABI
// 6.2, "Unwind Library Interface").
//
// The personality takes every exception and touches neither the instruction
// pointer nor a register: then the unwinder goes on where the call would have
// returned to. So it needs no function of the unwinder's, of which there may be
// several in a process, and of which some show none.

#include "call/guard.h"

#include <stddef.h>
#include <unwind.h>

__thread struct _Unwind_Exception *guard_caught
    __attribute__((tls_model("initial-exec")));

_Unwind_Reason_Code guard_personality(int version, _Unwind_Action actions,
                                      _Unwind_Exception_Class class,
                                      struct _Unwind_Exception *exception,
                                      struct _Unwind_Context *context);

_Unwind_Reason_Code guard_personality(int version, _Unwind_Action actions,
                                      _Unwind_Exception_Class class,
                                      struct _Unwind_Exception *exception,
                                      struct _Unwind_Context *context)
{
    (void)class, (void)context;
    if (version != 1)
        return _URC_FATAL_PHASE1_ERROR;
    if (actions & _UA_FORCE_UNWIND)
        return _URC_CONTINUE_UNWIND;
    if (actions & _UA_SEARCH_PHASE)
        return _URC_HANDLER_FOUND;
    if (!(actions & _UA_HANDLER_FRAME))
        return _URC_CONTINUE_UNWIND;
    guard_caught = exception;
    return _URC_INSTALL_CONTEXT;
}

// 0x1b: the personality is a 32-bit distance from where it is written. A struct
// of an integer and a double is returned as the function that is called returns
// either (psABI 3.2.3). %al tells a variadic function how many vector registers
// there are, at most (3.5.7).
__asm__ (
    "   .text\n"
    "   .globl guard_enter\n"
    "   .hidden guard_enter\n"
    "   .hidden guard_personality\n"
    "   .type guard_enter, @function\n"
    "guard_enter:\n"
    "   .cfi_startproc\n"
    "   .cfi_personality 0x1b, guard_personality\n"
    "   subq $8, %rsp\n"
    "   .cfi_adjust_cfa_offset 8\n"
    "   movq %rdi, %r10\n"
    "   movq %rsi, %r11\n"
    "   xorl %eax, %eax\n"
    "   testb %dl, %dl\n"
    "   je 1f\n"
    "   movsd 96(%r11), %xmm0\n"
    "   movsd 112(%r11), %xmm1\n"
    "   movsd 128(%r11), %xmm2\n"
    "   movsd 144(%r11), %xmm3\n"
    "   movsd 160(%r11), %xmm4\n"
    "   movsd 176(%r11), %xmm5\n"
    "   movsd 192(%r11), %xmm6\n"
    "   movsd 208(%r11), %xmm7\n"
    "   movl $8, %eax\n"
    "1: movq (%r11), %rdi\n"
    "   movq 16(%r11), %rsi\n"
    "   movq 32(%r11), %rdx\n"
    "   movq 48(%r11), %rcx\n"
    "   movq 64(%r11), %r8\n"
    "   movq 80(%r11), %r9\n"
    "   call *%r10\n"
    "   addq $8, %rsp\n"
    "   .cfi_adjust_cfa_offset -8\n"
    "   ret\n"
    "   .cfi_endproc\n"
    "   .size guard_enter, . - guard_enter\n"
);

_Static_assert(sizeof(union call_value) == 16, "values lie so far apart");
