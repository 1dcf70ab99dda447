// Where the pool is. C would form &pool in a way that ld rejects in a shared
// object, hence assembly.

#include "pool.h"

int64_t pool_tp_offset_x86_64(void)
{
    int64_t offset;
    __asm__ ("movq e64_tls_pool@gottpoff(%%rip), %0" : "=r"(offset));
    return offset;
}

char *pool_thread_pointer_x86_64(void)
{
    char *pointer;
    __asm__ ("movq %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

// Not from glibc's dlpi_tls_data: that is NULL in a library that was opened
// late and whose block nobody has touched.
__asm__ (".pushsection .rodata\n"
         "    .balign 8\n"
         "pool_segment_offset_word: .quad e64_tls_pool@dtpoff\n"
         ".popsection\n");

uint64_t pool_segment_offset_x86_64(void)
{
    uint64_t offset;
    __asm__ ("movq pool_segment_offset_word(%%rip), %0" : "=r"(offset));
    return offset;
}
