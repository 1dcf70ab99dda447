// The game. It needs the world, the forest and the renderer, and wants to be
// heard; but there may be nothing that plays sounds.
void world_add(const char *thing);
int renderer_frames(void);
int audio_play(const char *sound);

__attribute__((constructor)) static void start(void)
{
    world_add("hero");
}

int game_run(void)
{
    return audio_play("fanfare") ? renderer_frames() : -1;
}
