// Asking why, for scenarios.

#ifndef FAULTS_ASKING_H
#define FAULTS_ASKING_H

#include <elf64load.h>

// Where memory lacks less is told, and that is no failure; but what is told is
// whole.
e64_status asking_why(e64_plugin *plugin);

#endif
