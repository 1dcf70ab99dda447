// Keeps and brings back the vector and floating-point registers around a call
// of C, for assembly.

#ifndef TLS_VECTORS_X86_64_H
#define TLS_VECTORS_X86_64_H

// Below the stack pointer, by what the processor has (tls.h). The area is
// aligned to 64 bytes, and so is the stack then. ebx tells afterwards how it
// was done, and must be as it is when they are brought back; eax and edx are
// used. The header of the area must be zero before it is written to (Intel's
// manual, volume 1, 13.10).
#define VECTORS_SAVE \
    "    subq tls_descriptor_size(%rip), %rsp\n" \
    "    andq $-64, %rsp\n" \
    "    movl tls_descriptor_save(%rip), %ebx\n" \
    "    cmpl $1, %ebx\n" \
    "    jb 1f\n" \
    "    xorl %eax, %eax\n" \
    "    movq %rax, 512(%rsp)\n" \
    "    movq %rax, 520(%rsp)\n" \
    "    movq %rax, 528(%rsp)\n" \
    "    movq %rax, 536(%rsp)\n" \
    "    movq %rax, 544(%rsp)\n" \
    "    movq %rax, 552(%rsp)\n" \
    "    movq %rax, 560(%rsp)\n" \
    "    movq %rax, 568(%rsp)\n" \
    "    movl $0xef, %eax\n" \
    "    xorl %edx, %edx\n" \
    "    cmpl $1, %ebx\n" \
    "    ja 2f\n" \
    "    xsave (%rsp)\n" \
    "    jmp 3f\n" \
    "1:  fxsave (%rsp)\n" \
    "    jmp 3f\n" \
    "2:  xsavec (%rsp)\n" \
    "3:\n"

// With the stack pointer where it was left.
#define VECTORS_RESTORE \
    "    cmpl $1, %ebx\n" \
    "    jb 4f\n" \
    "    movl $0xef, %eax\n" \
    "    xorl %edx, %edx\n" \
    "    xrstor (%rsp)\n" \
    "    jmp 5f\n" \
    "4:  fxrstor (%rsp)\n" \
    "5:\n"

#endif
