// What objects expect of crtbeginS.o, libc_nonshared.a and libgcc.a: object
// files of our own, written as the assembler lays them out. Each has a .text
// with its relocations, of which the first also has the destructor that crtS
// gives to every shared object.
//
// The relocation types are the psABI's numbers (table 4.9): 1 is a 64-bit
// address, 2 relative to the place, 4 the same by way of the PLT, and 9 the
// place of the address in the GOT.

#include "editor.h"

__asm__(
    "    .pushsection .rodata, \"a\", @progbits\n"

    // The header, and after it the first section.
    "    .macro crt_begin name\n"
    "    .balign 8\n"
    "crt_\\name:\n"
    "    .ascii \"\\177ELF\\002\\001\\001\"\n"
    "    .zero 9\n"
    "    .short 1, 62\n"
    "    .long 1\n"
    "    .quad 0, 0, crt_\\name\\()_sections - crt_\\name\n"
    "    .long 0\n"
    "    .short 64, 0, 0, 64, 7, 6\n"
    "    .endm\n"

    // A section header: what it is, where it is.
    "    .macro crt_section name, type, flags, file, start, end, link, info, "
    "align, entry\n"
    "    .long \\name, \\type\n"
    "    .quad \\flags, 0, \\start - \\file, \\end - \\start\n"
    "    .long \\link, \\info\n"
    "    .quad \\align, \\entry\n"
    "    .endm\n"

    "    .macro crt_relocation place, type, symbol, addend\n"
    "    .quad \\place, \\symbol << 32 | \\type, \\addend\n"
    "    .endm\n"

    // A symbol of section 1, or of none; its name's place in crt_strings.
    "    .macro crt_symbol name, info, visibility, section\n"
    "    .long crt_name_\\name - crt_strings\n"
    "    .byte \\info, \\visibility\n"
    "    .short \\section\n"
    "    .quad 0, 0\n"
    "    .endm\n"

    // Names of symbols and sections, the same in all. What follows the code is
    // the same, too.
    "    .macro crt_end name\n"
    "crt_\\name\\()_strings:\n"
    "    .ascii \"\\0.text\\0.rela.text\\0.fini_array\\0.rela.fini_array\\0\"\n"
    "    .ascii \".symtab\\0.strtab\\0\"\n"
    "    .ascii \"__dso_handle\\0__cxa_finalize\\0\"\n"
    "    .ascii \"atexit\\0__cxa_atexit\\0\"\n"
    "    .ascii \"at_quick_exit\\0__cxa_at_quick_exit\\0\"\n"
    "    .ascii \"pthread_atfork\\0__register_atfork\\0\"\n"
    "    .ascii \"__stack_chk_fail_local\\0__stack_chk_fail\\0\"\n"
    "crt_\\name\\()_after:\n"
    "    .balign 8\n"
    "crt_\\name\\()_sections:\n"
    "    .zero 64\n"
    "    crt_section 1, 1, 6, crt_\\name, crt_\\name\\()_text, "
    "crt_\\name\\()_array, 0, 0, 16, 0\n"
    "    crt_section 7, 4, 0x40, crt_\\name, crt_\\name\\()_rela, "
    "crt_\\name\\()_rela_array, 5, 1, 8, 24\n"
    "    crt_section 18, 15, 3, crt_\\name, crt_\\name\\()_array, "
    "crt_\\name\\()_rela, 0, 0, 8, 8\n"
    "    crt_section 30, 4, 0x40, crt_\\name, crt_\\name\\()_rela_array, "
    "crt_\\name\\()_symbols, 5, 3, 8, 24\n"
    "    crt_section 47, 2, 0, crt_\\name, crt_\\name\\()_symbols, "
    "crt_\\name\\()_strings, 6, 1, 8, 24\n"
    "    crt_section 55, 3, 0, crt_\\name, crt_\\name\\()_strings, "
    "crt_\\name\\()_after, 0, 0, 1, 0\n"
    "    .endm\n"

    "    .set crt_strings, 0\n"
    "    .set crt_name___dso_handle, 63\n"
    "    .set crt_name___cxa_finalize, 76\n"
    "    .set crt_name_atexit, 91\n"
    "    .set crt_name___cxa_atexit, 98\n"
    "    .set crt_name_at_quick_exit, 111\n"
    "    .set crt_name___cxa_at_quick_exit, 125\n"
    "    .set crt_name_pthread_atfork, 145\n"
    "    .set crt_name___register_atfork, 160\n"
    "    .set crt_name___stack_chk_fail_local, 178\n"
    "    .set crt_name___stack_chk_fail, 201\n"

    // The handle is any address of the image's own. What was registered with it
    // is called when the image goes.
    "    crt_begin first\n"
    "crt_first_text:\n"
    "    endbr64\n"
    "    cmpq $0, 0(%rip)\n" // __cxa_finalize in the GOT
    "    je 1f\n"
    "    leaq 0(%rip), %rdi\n" // __dso_handle
    "    jmp *0(%rip)\n"       // __cxa_finalize in the GOT
    "1:  ret\n"
    "    .balign 8, 0xcc\n"
    "crt_first_array:\n"
    "    .quad 0\n"
    "crt_first_rela:\n"
    "    crt_relocation 7, 9, 2, -5\n"
    "    crt_relocation 17, 2, 1, -4\n"
    "    crt_relocation 23, 9, 2, -4\n"
    "crt_first_rela_array:\n"
    "    crt_relocation 0, 1, 1, 0\n"
    "crt_first_symbols:\n"
    "    .zero 24\n"
    "    crt_symbol __dso_handle, 0x10, 2, 1\n"
    "    crt_symbol __cxa_finalize, 0x20, 0, 0\n"
    "    crt_end first\n"

    // The functions that know the handle of whoever calls them.
    "    .macro crt_function name, target, register\n"
    "    crt_begin \\name\n"
    "crt_\\name\\()_text:\n"
    "    endbr64\n"
    "    leaq 0(%rip), \\register\n" // __dso_handle
    "    .ifc \\name, atexit\n"
    "    xorl %esi, %esi\n"
    "    .else\n"
    "    .byte 0x66, 0x90\n" // nop
    "    .endif\n"
    "    .byte 0xe9\n" // jmp
    "    .long 0\n"
    "    .balign 8, 0xcc\n"
    "crt_\\name\\()_array:\n"
    "crt_\\name\\()_rela:\n"
    "    crt_relocation 7, 2, 2, -4\n"
    "    crt_relocation 14, 4, 3, -4\n"
    "crt_\\name\\()_rela_array:\n"
    "crt_\\name\\()_symbols:\n"
    "    .zero 24\n"
    "    crt_symbol \\name, 0x12, 2, 1\n"
    "    crt_symbol __dso_handle, 0x10, 2, 0\n"
    "    crt_symbol \\target, 0x10, 0, 0\n"
    "    crt_end \\name\n"
    "    .endm\n"
    "    crt_function atexit, __cxa_atexit, %rdx\n"
    "    crt_function at_quick_exit, __cxa_at_quick_exit, %rsi\n"
    "    crt_function pthread_atfork, __register_atfork, %rcx\n"

    // Does not return, and keeps the stack aligned for what it calls.
    "    crt_begin __stack_chk_fail_local\n"
    "crt___stack_chk_fail_local_text:\n"
    "    endbr64\n"
    "    subq $8, %rsp\n"
    "    .byte 0xe8\n" // call
    "    .long 0\n"
    "    hlt\n"
    "    .balign 8, 0xcc\n"
    "crt___stack_chk_fail_local_array:\n"
    "crt___stack_chk_fail_local_rela:\n"
    "    crt_relocation 9, 4, 2, -4\n"
    "crt___stack_chk_fail_local_rela_array:\n"
    "crt___stack_chk_fail_local_symbols:\n"
    "    .zero 24\n"
    "    crt_symbol __stack_chk_fail_local, 0x12, 2, 1\n"
    "    crt_symbol __stack_chk_fail, 0x10, 0, 0\n"
    "    crt_end __stack_chk_fail_local\n"
    "    .balign 8\n"
    "crt_after:\n"

    // Where each begins, and where the last one ends.
    "    .globl crt_objects, crt_object_offsets\n"
    "    .hidden crt_objects, crt_object_offsets\n"
    "    .set crt_objects, crt_first\n"
    "    .balign 4\n"
    "crt_object_offsets:\n"
    "    .long 0, crt_atexit - crt_first, crt_at_quick_exit - crt_first\n"
    "    .long crt_pthread_atfork - crt_first\n"
    "    .long crt___stack_chk_fail_local - crt_first\n"
    "    .long crt_after - crt_first\n"
    "    .popsection\n"
);

// In the order of the objects, from the second on.
const char *const crt_functions[] = {
    "atexit", "at_quick_exit", "pthread_atfork", "__stack_chk_fail_local", NULL,
};
