// Objects and archives, for scenarios.

#ifndef FAULTS_LINKING_H
#define FAULTS_LINKING_H

#include "scenarios.h"

extern const struct scenario linking_scenarios[];

#endif
