// Wants more than a mod may have.

#include <stdlib.h>

void mod_frame(int number)
{
    if (number == 1)
        system("true");
}
