// A lease ends when nobody has used it for a minute.

double clock_now(void); // seconds since 1970, from the program

static float last_used;

void lease_use(void)
{
    last_used = clock_now();
}

int lease_ended(void)
{
    return clock_now() - last_used > 60;
}
