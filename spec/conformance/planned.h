// The side of a plan: what the loader under test says that the slots will hold,
// with nothing opened.

#ifndef PLANNED_H
#define PLANNED_H

#include <stdio.h>

// Plans a library and prints what `side` prints of one that is open: the lines
// of each file that would be opened, or of the library alone. FLAG is
//
//     .  the meaning that the slot will have
//     *  the slot will point into that file; where, an IFUNC resolver says
//     =  as '.', but the loader's own function will stand in for it
//     -  the relocation is for no import: no binding is about it
//     !  of this relocation the plan tells nothing
//
// What is said of relocation number `alter` of the library, if it is not -1, is
// wrong: how the harness is tested.
void planned_report(FILE *out, const char *library, int alone, long alter);

#endif
