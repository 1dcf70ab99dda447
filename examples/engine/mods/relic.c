// From another game.

int old_frame(void)
{
    return 0;
}
