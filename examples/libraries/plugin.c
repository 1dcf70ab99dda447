// The plugin that the main job opens first: a variable and a function that
// prints it.

#include <stdio.h>

int V;

void F(void)
{
    printf("Hello, number %d\n", V);
}
