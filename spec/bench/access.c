// Thread-local variables, and a function that does nothing but take their
// addresses, by whichever model and dialect this is compiled for. IMAGE is what
// they begin as; BESIDE, how many bytes of them lie beside.
//
// They are sixteen because gcc asks for the address of one only once. `rest` is
// all of it but asking.

#define EACH(WITH) \
    WITH(0) WITH(1) WITH(2) WITH(3) WITH(4) WITH(5) WITH(6) WITH(7) \
    WITH(8) WITH(9) WITH(10) WITH(11) WITH(12) WITH(13) WITH(14) WITH(15)

#define DEFINE(number) \
    __thread long variable##number = IMAGE; \
    static long ordinary##number;
EACH(DEFINE)

__thread char beside[BESIDE];

// The address is wanted in a register, and nobody knows what for.
#define TAKE(name) __asm__ volatile ("" : : "r"(&name));
#define TAKE_VARIABLE(number) TAKE(variable##number)
#define TAKE_ORDINARY(number) TAKE(ordinary##number)

static __attribute__((noinline)) void take_variables(void)
{
    EACH(TAKE_VARIABLE)
}

static __attribute__((noinline)) void take_ordinary(void)
{
    EACH(TAKE_ORDINARY)
}

void access(long times)
{
    while (times-- > 0)
        take_variables();
}

void rest(long times)
{
    while (times-- > 0)
        take_ordinary();
}

// Whether the variables begin as they should in this thread.
int right(void)
{
#define DIFFERS(number) | (variable##number ^ IMAGE)
    return !(0 EACH(DIFFERS) | beside[0]);
}
