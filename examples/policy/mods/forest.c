// A mod that adds to the world.
void world_add(const char *thing);

__attribute__((constructor)) static void start(void)
{
    world_add("trees");
}
