// Policies and definitions for scenarios.

#ifndef FAULTS_DECIDING_H
#define FAULTS_DECIDING_H

#include "scenarios.h"

// All hooks, and rules; `leaf`, which nothing defines, is resolved.
const e64_runtime_options *deciding_all(void);
// Accepts nothing that defines `leaf`.
const e64_runtime_options *deciding_refuse(void);
// A table stands for libfaults_leaf.so.
const e64_runtime_options *deciding_provide(void);

// Defines `leaf`, unless it is defined.
void deciding_ready(const struct scenario *scenario);
// Defines more, and takes it back.
e64_status deciding_define(const struct scenario *scenario, e64_error *error);
void deciding_undefine(const struct scenario *scenario);

#endif
