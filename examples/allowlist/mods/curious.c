// A mod that looks at the environment, which nobody has thought of.
#include <stdlib.h>

int count_words(const char *text)
{
    return getenv(text) != NULL;
}
