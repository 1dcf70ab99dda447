// What the process' signals are handled by, from the kernel: whoever set it.

#include "signals.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

// As the kernel has it, on this machine.
struct kernel_action {
    uintptr_t handler; // 0: SIG_DFL, 1: SIG_IGN
    unsigned long flags;
    uintptr_t restorer; // where handlers return to
    unsigned long mask;
};

int signals_read(struct signal_action actions[SIGNALS])
{
    for (int i = 0; i < SIGNALS; i++) {
        struct kernel_action action = { 0, 0, 0, 0 };
        actions[i] = (struct signal_action){ 0, 0 };
        if (syscall(SYS_rt_sigaction, i + 1, NULL, &action,
                    sizeof action.mask) != 0)
            return errno;
        if (action.handler > 1)
            actions[i] = (struct signal_action){ action.handler,
                                                 action.restorer };
    }
    return 0;
}
