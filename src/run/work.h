// Who works on a plugin, and who waits for whom.
//
// One thread at a time maps, starts or stops a plugin. Another that wants the
// same waits for it, but where waiting would close a circle - of threads that
// wait for each other's plugins, or through the lock of glibc's loader, which a
// constructor of the host runs under - it is told so, and takes the plugin as
// it stands, as a constructor does that opens its own plugin.

#ifndef RUN_WORK_H
#define RUN_WORK_H

#include "run.h"

// Makes the plugin the calling thread's, waiting for another thread to give it
// back. False when it is this thread's already, or when it must not wait. Not
// under a runtime's lock.
bool work_take(e64_plugin *plugin);

// The same without waiting: false when another thread has it. May be called
// under a runtime's lock.
bool work_try(e64_plugin *plugin);

void work_give(e64_plugin *plugin);

// Is it this thread's, and is it another's?
bool work_is_mine(e64_plugin *plugin);
bool work_is_elsewhere(e64_plugin *plugin);

// Waits until the thread that has it now has given it back, or, when none has,
// until the one that has promised to start it has done so. False when it must
// not wait for that. Not under a runtime's lock.
bool work_wait(e64_plugin *plugin);

// An open that has made plugins known and is going to start them: those that
// nobody has started or promised to. It lies on the stack of the thread that
// opens.
struct promise {
    struct worker *worker;
    bool within; // an open of the same that is under way on this thread
};
void work_promise(e64_plugin **plugins, uint32_t count,
                  struct promise *promise);
// It has been done for those of the plugins for which this was the promise, or
// never will be.
void work_keep(e64_plugin **plugins, uint32_t count,
               const struct promise *promise);
// Is another thread going to start it, and is this one?
bool work_is_promised(e64_plugin *plugin);
bool work_is_promised_here(e64_plugin *plugin);

// For forking.c. In the child, what other threads have taken is nobody's.
void work_before_fork(void);
void work_after_fork(bool child);
void work_forget_others(e64_plugin *plugin);

#endif
