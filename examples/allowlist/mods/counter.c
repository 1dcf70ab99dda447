// A mod that keeps to what it is allowed.
#include <string.h>

int count_words(const char *text)
{
    int words = 0;
    while (*text) {
        size_t size = strcspn(text, " ");
        words += size > 0;
        text += size + (text[size] == ' ');
    }
    return words;
}
