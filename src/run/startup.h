// What the process was started as: its rights, the environment that it got, the
// executable.

#ifndef RUN_STARTUP_H
#define RUN_STARTUP_H

#include <stdbool.h>

#include "../elf64load.h"
#include "ldso.h"

struct startup {
    // The program runs with rights that its caller does not have (AT_SECURE).
    // The environment, relative folders and the place of a hard link are its
    // caller's choice, so they must not decide what is loaded.
    bool secure;
    char *library_path; // LD_LIBRARY_PATH at process start; NULL when secure

    // The executable's folder without a '/' at its end (but for "/"), or NULL.
    char *origin;
    const char *rpath, *runpath; // its DT_RPATH and DT_RUNPATH, or NULL
    bool nodeflib;               // its DF_1_NODEFLIB

    bool bind_now; // LD_BIND_NOW: no call waits to be bound

    struct ldso ldso;
};

// Found out once; calling it early keeps a program that overwrites its
// environment from having an effect. E64_NOMEMORY only.
e64_status startup_get(const struct startup **startup);

// May libraries be looked for in this folder? Not in a relative one when the
// program is secure.
bool startup_allows(const struct startup *startup, const char *folder);

#endif
