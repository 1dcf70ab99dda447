// What the row `callback` opens: each function calls another so many times.

void each_none(long count, void (*call)(void))
{
    for (long i = 0; i < count; i++)
        call();
}

long each_int(long count, long (*call)(int))
{
    long sum = 0;
    for (long i = 0; i < count; i++)
        sum += call((int)i);
    return sum;
}

double each_double(long count, double (*call)(double, double))
{
    double sum = 0;
    for (long i = 0; i < count; i++)
        sum += call((double)i, 0.5);
    return sum;
}

long each_six(long count, long (*call)(int, unsigned, long, double, short,
                                       signed char))
{
    long sum = 0;
    for (long i = 0; i < count; i++)
        sum += call((int)i, 2, 3, 4, 5, 6);
    return sum;
}

long each_pointer(long count, long (*call)(const int *, const int *))
{
    static const int pair[2] = { 1, 2 };
    long sum = 0;
    for (long i = 0; i < count; i++)
        sum += call(&pair[0], &pair[1]);
    return sum;
}

long each_text(long count, long (*call)(const char *, long))
{
    long sum = 0;
    for (long i = 0; i < count; i++)
        sum += call("text", i);
    return sum;
}
