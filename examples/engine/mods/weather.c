// Says what the weather is like.

extern void engine_log(const char *format, ...);

static const char *const skies[] = { "clear", "cloudy", "stormy" };

void mod_frame(int number)
{
    engine_log("weather: %s", skies[number % 3]);
}
