// Makes plugins known to debuggers.

#ifndef RUN_DEBUGGER_H
#define RUN_DEBUGGER_H

#include "run.h"

// Of plugins that are mapped and relocated; nothing of them has run. A debugger
// stops here to set its breakpoints.
void debugger_add(e64_plugin *const *plugins, uint32_t count);

// Before it is unmapped. Does nothing for one that was not added.
void debugger_remove(e64_plugin *plugin);

void debugger_before_fork(void);
void debugger_after_fork(bool child);

#endif
