// Draws, when it starts, what is in the world by then.
#include <stdio.h>

const char *world_thing(int index);

__attribute__((constructor)) static void start(void)
{
    const char *thing;
    printf("The renderer draws:");
    for (int i = 0; (thing = world_thing(i)); i++)
        printf(" %s", thing);
    printf("\n");
    fflush(stdout);
}

int renderer_frames(void)
{
    return 60;
}
