// What the row `call` opens.

int f(int a, int b)
{
    return a - b;
}
