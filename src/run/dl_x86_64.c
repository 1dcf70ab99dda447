// The entries of dl.h. glibc finds out who calls dlsym or dlopen by the return
// address, so a caller that is no plugin is passed on by a jump, its return
// address and its arguments as they were.

#include "../host/forward.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

// Asks dl_caller about the return address with the arguments kept (psABI 3.2.3:
// six integer registers, of which five are in use, and rsp 8 bytes off a
// multiple of 16 on entry). A plugin that is found goes on as the last
// argument, in `last`.
#define ENTRY(name, original, own, last) __asm__( \
    ".text\n" \
    ".p2align 4\n" \
    ".globl " #name "\n" \
    ".hidden " #name "\n" \
    ".type " #name ", @function\n" \
    #name ":\n" \
    "    .cfi_startproc\n" \
    "    endbr64\n" \
    "    push %rdi\n" \
    "    .cfi_adjust_cfa_offset 8\n" \
    "    push %rsi\n" \
    "    .cfi_adjust_cfa_offset 8\n" \
    "    push %rdx\n" \
    "    .cfi_adjust_cfa_offset 8\n" \
    "    push %rcx\n" \
    "    .cfi_adjust_cfa_offset 8\n" \
    "    push %r8\n" \
    "    .cfi_adjust_cfa_offset 8\n" \
    "    mov 40(%rsp), %rdi\n" \
    "    call dl_caller\n" \
    "    pop %r8\n" \
    "    .cfi_adjust_cfa_offset -8\n" \
    "    pop %rcx\n" \
    "    .cfi_adjust_cfa_offset -8\n" \
    "    pop %rdx\n" \
    "    .cfi_adjust_cfa_offset -8\n" \
    "    pop %rsi\n" \
    "    .cfi_adjust_cfa_offset -8\n" \
    "    pop %rdi\n" \
    "    .cfi_adjust_cfa_offset -8\n" \
    "    test %rax, %rax\n" \
    "    jz 1f\n" \
    "    mov %rax, %" #last "\n" \
    "    jmp " #own "\n" \
    "1:  jmp *host_forward+" NUMBER(original) "(%rip)\n" \
    "    .cfi_endproc\n" \
    ".size " #name ", . - " #name "\n" \
    ".previous\n")

ENTRY(dlopen_x86_64, FORWARD_DLOPEN, dl_open, rdx);
ENTRY(dlmopen_x86_64, FORWARD_DLMOPEN, dl_mopen, rcx);
ENTRY(dlclose_x86_64, FORWARD_DLCLOSE, dl_close, rsi);
ENTRY(dlsym_x86_64, FORWARD_DLSYM, dl_sym, rdx);
ENTRY(dlvsym_x86_64, FORWARD_DLVSYM, dl_vsym, rcx);
ENTRY(dlerror_x86_64, FORWARD_DLERROR, dl_error, rdi);
ENTRY(dladdr_x86_64, FORWARD_DLADDR, dl_addr, rdx);
ENTRY(dladdr1_x86_64, FORWARD_DLADDR1, dl_addr1, r8);
ENTRY(dlinfo_x86_64, FORWARD_DLINFO, dl_info, rcx);
ENTRY(backtrace_symbols_x86_64, FORWARD_BACKTRACE_SYMBOLS,
      dl_backtrace_symbols, rdx);
ENTRY(backtrace_symbols_fd_x86_64, FORWARD_BACKTRACE_SYMBOLS_FD,
      dl_backtrace_symbols_fd, rcx);
