// Asks valgrind by a client request whether it is there (valgrind's manual,
// "The Client Request mechanism"): rotations that leave rdi as it was and an
// exchange of rbx with itself, which it takes for a question. rax points to the
// request and its arguments, rdx holds the answer of a processor.

#include "valgrind.h"

#include <stdint.h>

enum { RUNNING_ON_VALGRIND = 0x1001 };

bool valgrind_runs_us_x86_64(void)
{
    const volatile uint64_t request[6] = { RUNNING_ON_VALGRIND };
    uint64_t answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\t"
                     "rolq $13, %%rdi\n\t"
                     "rolq $61, %%rdi\n\t"
                     "rolq $51, %%rdi\n\t"
                     "xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(&request[0])
                     : "cc", "memory");
    return answer != 0;
}
