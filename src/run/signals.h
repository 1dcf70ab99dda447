// What the process' signals are handled by.

#ifndef RUN_SIGNALS_H
#define RUN_SIGNALS_H

#include <stdint.h>

enum { SIGNALS = 64 };

struct signal_action {
    uintptr_t handler;  // 0: none
    uintptr_t restorer; // where it returns to
};

// Signal 1 is the first. An errno, or 0.
int signals_read(struct signal_action actions[SIGNALS]);

#endif
