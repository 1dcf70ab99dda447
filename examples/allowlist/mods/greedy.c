// A mod that wants to run commands.
#include <stdlib.h>

int count_words(const char *text)
{
    return system(text);
}
