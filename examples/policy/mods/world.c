// What there is to draw.
enum { MOST = 16 };
static const char *things[MOST];
static int count;

void world_add(const char *thing)
{
    if (count < MOST)
        things[count++] = thing;
}

const char *world_thing(int index)
{
    return index < count ? things[index] : 0;
}
