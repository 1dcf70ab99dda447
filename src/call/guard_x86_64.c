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

// The exception that ended the call, from when the personality has it until the
// call is over. Nothing else runs in this thread in between.
static __thread struct _Unwind_Exception *caught
    __attribute__((tls_model("initial-exec")));

_Unwind_Reason_Code guard_personality(int version, _Unwind_Action actions,
                                      _Unwind_Exception_Class class,
                                      struct _Unwind_Exception *exception,
                                      struct _Unwind_Context *context);
void guard_enter(void (*function)(void *data), void *data);

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
    caught = exception;
    return _URC_INSTALL_CONTEXT;
}

// 0x1b: the personality is a 32-bit distance from where it is written.
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
    "   movq %rdi, %rax\n"
    "   movq %rsi, %rdi\n"
    "   call *%rax\n"
    "   addq $8, %rsp\n"
    "   .cfi_adjust_cfa_offset -8\n"
    "   ret\n"
    "   .cfi_endproc\n"
    "   .size guard_enter, . - guard_enter\n"
);

struct _Unwind_Exception *guard_call(void (*function)(void *data), void *data)
{
    guard_enter(function, data);
    struct _Unwind_Exception *exception = caught;
    if (exception)
        caught = NULL;
    return exception;
}
