// What plugins call for each access to a thread-local variable: __tls_get_addr
// and the functions of TLS descriptors, about ten instructions each.
//
// The way there counts as much: on some processors a call that goes further
// than 4 GB takes half as long again as all of this (Zen 4: 0.9 ns), and from
// a plugin to an executable it is further. So they are copied to memory of
// their own, which the kernel puts where it puts plugins. What they know of
// this process stands in three words before them. Where memory must not become
// executable they are used in place.

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "module.h"

struct words {
    int64_t self;     // tls_self, from the thread pointer
    const void *find; // tls_find_slowly
    const void *slow; // tls_descriptor_slow
};

_Static_assert(offsetof(struct tls_index, offset) == 8
               && offsetof(struct tls_descriptor, block) == 0
               && offsetof(struct tls_descriptor, index.offset) == 16
               && offsetof(struct tls_table, blocks) == 8
               && offsetof(struct words, find) == 8
               && offsetof(struct words, slow) == 16
               && TLS_OURS == 0x40000000 && TLS_NUMBERS == 0x4000,
               "what stands below is of these");

__asm__ (
    // Descriptors: the functions of the three kinds in tls.h. With a second
    // register to be kept the dynamic one would take a quarter longer.
    ".macro tls_descriptors prefix, self, slow\n"
    "    .balign 64\n"
    "\\prefix\\()_static:\n"
    "    endbr64\n"
    "    movq 8(%rax), %rax\n"
    "    ret\n"
    "    .balign 64\n"
    "\\prefix\\()_undefined:\n"
    "    endbr64\n"
    "    movq 8(%rax), %rax\n"
    "    subq %fs:0, %rax\n"
    "    ret\n"
    "    .balign 64\n"
    "\\prefix\\()_dynamic:\n"
    "    endbr64\n"
    "    movq 8(%rax), %rax\n"
    "    movq %rdi, -8(%rsp)\n"
    "    movq \\self, %rdi\n"
    "    movq %fs:(%rdi), %rdi\n" // the table
    "    addq (%rax), %rdi\n"
    "    movq (%rdi), %rdi\n" // the block
    "    testq %rdi, %rdi\n"
    "    jz \\slow\n"
    "    movq 16(%rax), %rax\n"
    "    addq %rdi, %rax\n"
    "    movq -8(%rsp), %rdi\n"
    "    ret\n"
    ".endm\n"

    // Where each is, from the word that says so.
    ".macro tls_entries prefix, get_addr\n"
    "    .balign 4\n"
    "\\prefix\\()_entries:\n"
    "    .long \\get_addr - .\n"
    ".irp which, static, undefined, dynamic\n"
    "    .long \\prefix\\()_\\which - .\n"
    ".endr\n"
    ".endm\n"

    ".pushsection .text\n"
    "    .cfi_startproc\n"
    "    tls_descriptors tls_placed, tls_self@gottpoff(%rip), "
    "tls_descriptor_slow\n"
    "    .cfi_endproc\n"
    ".popsection\n"

    ".pushsection .rodata\n"
    "    tls_entries tls_placed, tls_get_addr\n"
    "    .balign 64\n"
    "tls_template:\n"
    "    .quad 0, 0, 0\n"
    "tls_template_code:\n"
    "    .balign 64\n"
    "tls_template_get_addr:\n"
    "    endbr64\n"
    "    movq tls_template(%rip), %rdx\n"
    "    movq %fs:(%rdx), %rdx\n" // the table
    "    movq (%rdi), %rax\n"
    "    subq $0x40000000, %rax\n"
    "    cmpq $0x4000, %rax\n"
    "    jae 1f\n"
    "    movq 8(%rdx,%rax,8), %rax\n" // the block
    "    testq %rax, %rax\n"
    "    jz 1f\n"
    "    addq 8(%rdi), %rax\n"
    "    addq %fs:0, %rax\n"
    "    ret\n"
    "1:  jmp *tls_template+8(%rip)\n"
    "    tls_descriptors tls_template, tls_template(%rip), "
    "tls_template_slow\n"
    "tls_template_slow:\n"
    "    jmp *tls_template+16(%rip)\n"
    "tls_template_code_end:\n"
    // Frames for unwinders that come along in a signal handler: one FDE for all
    // of it, as the stack pointer never moves (LSB, "Exception Frames").
    "    .balign 8\n"
    "tls_template_cie:\n"
    "    .long 20, 0\n"
    "    .byte 1\n"
    "    .asciz \"zR\"\n"
    "    .byte 1, 0x78, 16, 1, 0x1b\n" // alignments 1 and -8; pcrel, sdata4
    "    .byte 0x0c, 7, 8, 0x90, 1\n" // CFA: rsp + 8; return address: CFA - 8
    "    .balign 8\n"
    "    .long 20\n"
    "    .long . - tls_template_cie\n"
    "    .long tls_template_code - .\n"
    "    .long tls_template_code_end - tls_template_code\n"
    "    .long 0, 0\n"
    "    .long 0\n" // the end of them
    "tls_template_frames:\n"
    "    .byte 1, 0x1b, 0x03, 0x3b\n"
    "    .long tls_template_cie - .\n"
    "    .long 1\n"
    "    .long tls_template_code - tls_template_frames\n"
    "    .long tls_template_cie + 24 - tls_template_frames\n"
    "tls_template_end:\n"
    "    tls_entries tls_template, tls_template_get_addr\n"
    ".popsection\n"
    ".purgem tls_descriptors\n"
    ".purgem tls_entries\n");

extern const char tls_template[];
extern const char tls_template_frames[];
extern const char tls_template_end[];
extern const int32_t tls_placed_entries[];
extern const int32_t tls_template_entries[];

static _Atomic(char *) copied; // NULL: they are used in place

static int64_t self_offset(void)
{
    int64_t offset;
    __asm__ ("movq tls_self@gottpoff(%%rip), %0" : "=r"(offset));
    return offset;
}

static size_t template_size(void)
{
    return (size_t)(tls_template_end - tls_template);
}

static void copy(void)
{
    const struct words words = { self_offset(), (const void *)tls_find_slowly,
                                 tls_descriptor_slow };
    size_t size = template_size();
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    memcpy(memory, tls_template, size);
    memcpy(memory, &words, sizeof words);
    if (mprotect(memory, size, PROT_READ | PROT_EXEC) == 0)
        copied = memory;
    else
        munmap(memory, size);
}

void tls_access_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, copy);
}

// In the order of the entries.
enum which { GET_ADDR, STATIC, UNDEFINED, DYNAMIC };

static const void *entry(uint32_t which)
{
    const char *memory = copied;
    if (!memory)
        return (const char *)&tls_placed_entries[which]
             + tls_placed_entries[which];
    const char *original = (const char *)&tls_template_entries[which]
                         + tls_template_entries[which];
    return memory + (original - tls_template);
}

void *tls_get_addr_entry(void)
{
    return (void *)entry(GET_ADDR);
}

void tls_descriptor_static(int64_t offset, uint64_t pair[2])
{
    pair[0] = (uintptr_t)entry(STATIC);
    pair[1] = (uint64_t)offset;
}

void tls_descriptor_undefined(int64_t addend, uint64_t pair[2])
{
    pair[0] = (uintptr_t)entry(UNDEFINED);
    pair[1] = (uint64_t)addend;
}

// What glibc's modules have is in no table of ours: number 0 is nobody's, so
// that these are always looked for slowly.
void tls_descriptor_dynamic(struct tls_descriptor *descriptor, uint64_t module,
                            uint64_t offset, uint64_t pair[2])
{
    uint64_t number = module >= TLS_OURS ? module - TLS_OURS : 0;
    tls_descriptor_prepare();
    *descriptor = (struct tls_descriptor){
        .block = offsetof(struct tls_table, blocks) + number * sizeof(int64_t),
        .index = { module, offset },
    };
    pair[0] = (uintptr_t)entry(DYNAMIC);
    pair[1] = (uintptr_t)descriptor;
}

bool tls_access_range(uintptr_t address, struct tls_range *range)
{
    const char *memory = copied;
    if (!memory || address < (uintptr_t)memory
        || address >= (uintptr_t)memory + template_size())
        return false;
    *range = (struct tls_range){
        (uintptr_t)memory, (uintptr_t)memory + template_size(),
        memory + (tls_template_frames - tls_template) };
    return true;
}
