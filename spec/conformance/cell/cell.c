// A program of two objects that uses what compilers make of C and C++, a part
// after the other, and prints what comes of it. It is compiled in many ways.

#include "cell.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef WITHOUT_HOST
#include <dlfcn.h>
#include <math.h>
#include <unistd.h>
#endif

// Whatever the optimiser knows, it does not know this.
volatile int one = 1;

// --------------------------------------------------------------- data ---

long shared_value = 11;
static long own_values[5] = { 1, 2, 3, 4, 5 };
static long *const own_pointers[] = {
    &own_values[4], &own_values[1], &shared_value,
};
static char zeros[70000];
int undecided[4];
static struct pair own_pairs[] = {
    { "four", &own_values[3] }, { "shared", &shared_value },
};
static double halves[] = { 0.5, 1.5, 2.5 };

static void data(void)
{
    long sum = 0;
    for (int i = 0; i < 3; i++)
        sum = sum * 10 + *own_pointers[i * one];
    zeros[69999 * one] = 3;
    undecided[3 * one] = 9;
    static long calls = 100;
    calls += one;
    printf("data: %ld %d %d %ld %s=%ld %s=%ld %.1f\n", sum, zeros[69999],
           undecided[3], calls, own_pairs[one].name, *own_pairs[one].value,
           other_pairs[one].name, *other_pairs[one].value, halves[one + 1]);
    for (int i = 0; i < 3; i++)
        printf("data: %s\n", other_names[i * one]);
}

// -------------------------------------------------------------- calls ---

static long twice(long x) { return 2 * x * one; }
static long thrice(long x) { return 3 * x * one; }
static long (*const functions[])(long) = { twice, thrice };

static int by_value(const void *a, const void *b)
{
    const long *one_value = (const long *)a, *other = (const long *)b;
    return *one_value < *other ? 1 : *one_value > *other ? -1 : 0;
}

__attribute__((noinline)) static long deep(long n)
{
    return n <= one ? 1 : n + deep(n - 1);
}

static void calls(void)
{
    long values[] = { 3, 1, 2, 7, 5 };
    qsort(values, 5, sizeof values[0], by_value);
    printf("calls: %ld %ld %ld %ld\n", other_add(40, 2),
           calls_back(functions[one], 5), deep(100), values[0]);
    printf("calls: weak %ld, nobody %s\n", other_weak(),
           nobody_has ? "there" : "not there");
    printf("calls: %zu %d\n", strlen(other_text()), atoi("42") * one);
}

// ------------------------------------------------------------ strings ---

static const char *const words[] = { "zero", "one", "two", "a longer one", "one" };

static void strings(void)
{
    char room[64];
    strcpy(room, words[3 * one]);
    strcat(room, "/");
    strcat(room, words[4 * one]);
    printf("strings: %s %d %s\n", room, strcmp(words[one], "one"),
           "tail of a string" + 8 * one);
}

// ------------------------------------------------------- switch tables ---

static const char *weekday(int number)
{
    switch (number) {
    case 0: return "Monday";
    case 1: return "Tuesday";
    case 2: return "Wednesday";
    case 3: return "Thursday";
    case 4: return "Friday";
    case 5: return "Saturday";
    case 6: return "Sunday";
    default: return "no day";
    }
}

static long machine(const char *program)
{
    static const void *const labels[] = { &&add, &&multiply, &&negate, &&stop };
    long value = one;
    goto *labels[*program++ - '0'];
add:
    value += 5;
    goto *labels[*program++ - '0'];
multiply:
    value *= 7;
    goto *labels[*program++ - '0'];
negate:
    value = -value;
    goto *labels[*program++ - '0'];
stop:
    return value;
}

static long branches(int number, long value)
{
    switch (number) {
    case 10: return value + 1;
    case 11: return value * value;
    case 12: return twice(value);
    case 13: return thrice(value) - 1;
    case 14: return value ^ 0x55;
    case 15: return -value;
    case 16: return other_add(value, 16);
    case 17: return value % 7;
    default: return 0;
    }
}

static void tables(void)
{
    long sum = 0;
    for (int i = 0; i < 20; i++)
        sum = sum * 3 + branches(i * one, i);
    printf("switch: %s %s %s %ld %ld\n", weekday(2 * one), weekday(6 * one),
           weekday(7 * one), machine("01210213"), sum);
    for (int i = 0; i < 6; i++)
        printf("switch: %s\n", other_kind(i * one));
}

// ------------------------------------------------------- thread-local ---

#ifndef WITHOUT_TLS
static __thread long own_tls = 5;
static __thread long zero_tls;
// Not more than what core.so has room for in a process without tunables.
static __thread char wide_tls[300] = "wide";

static void *thread(void *result)
{
    own_tls += one;
    zero_tls += 2;
    wide_tls[0] = 'W';
    long *sums = (long *)result;
    sums[0] = own_tls;
    sums[1] = zero_tls;
    sums[2] = other_tls_add(1000);
    sums[3] = other_tls;
    sums[4] = strcmp(wide_tls, "Wide");
    return result;
}

static void thread_local_part(void)
{
    long sums[5];
    pthread_t id;
    own_tls = 70;
    zero_tls = 71;
    other_tls = 72;
    pthread_create(&id, NULL, thread, sums);
    pthread_join(id, NULL);
    printf("tls: %ld %ld %ld %ld %ld, %ld %ld %ld %s\n", sums[0], sums[1],
           sums[2], sums[3], sums[4], own_tls, zero_tls, other_tls_add(1),
           wide_tls);
    errno = 0;
    strtol("99999999999999999999999", NULL, 10);
    printf("tls: %s\n", errno == ERANGE ? "ERANGE" : "no error");
}
#endif

// -------------------------------------------------------- constructors ---

static char notes[200];

void said(const char *text)
{
    strcat(notes, text);
    strcat(notes, " ");
}

__attribute__((constructor(201))) static void first(void) { said("201"); }
__attribute__((constructor(210))) static void second(void) { said("210"); }
__attribute__((constructor)) static void last(void) { said("plain"); }

__attribute__((destructor)) static void gone(void)
{
    printf("destructor\n");
    fflush(NULL);
}

static void at_exit(void)
{
    printf("atexit\n");
    fflush(NULL);
}

// --------------------------------------------------------------- host ---

#ifndef WITHOUT_HOST
static int (*const puts_here)(const char *) = puts;
static double (*const host_functions[])(double) = { floor, ceil };

static void host(void)
{
    extern char **environ;
    fputs("host: through stdout\n", stdout);
    int (*volatile taken)(const char *) = puts;
    printf("host: %s %s %s\n",
           (void *)taken == dlsym(RTLD_DEFAULT, "puts") ? "same" : "another",
           taken == puts_here ? "same" : "another",
           (void *)host_functions[one] == dlsym(RTLD_DEFAULT, "ceil")
               ? "same" : "another");
    printf("host: %s\n",
           stdout == *(FILE **)dlsym(RTLD_DEFAULT, "stdout")
               && &environ == dlsym(RTLD_DEFAULT, "environ")
               ? "same" : "another");
    for (char **at = environ; *at; at++) {
        if (strncmp(*at, "CELL=", 5) == 0)
            printf("host: %s\n", *at);
    }
    printf("host: %.0f %.0f\n", host_functions[0](2.5), host_functions[one](2.5));
}
#endif

// ---------------------------------------------------------- exceptions ---

#ifdef __cplusplus
namespace {

struct Guard {
    const char *name;
    explicit Guard(const char *given) : name(given) {}
    ~Guard() { printf("guard of %s\n", name); }
};

struct Shape {
    virtual ~Shape() {}
    virtual const char *name() const = 0;
};
struct Circle : Shape {
    const char *name() const { return "circle"; }
};
struct Square : Shape {
    const char *name() const { return "square"; }
};

struct Static {
    std::string text;
    Static() : text("a static object's text") { said("object"); }
    ~Static() { printf("gone: %s\n", text.c_str()); fflush(NULL); }
};
Static object;

int throws_in_callback(const void *, const void *)
{
    throw Trouble(77);
}

void exceptions()
{
    for (int kind = 0; kind < 5; kind++) {
        try {
            Guard guard("try");
            other_throws(kind * one);
            puts("nothing thrown");
        } catch (const Trouble &trouble) {
            printf("Trouble %d: %s\n", trouble.number, trouble.what());
        } catch (const std::exception &error) {
            printf("exception: %s\n", error.what());
        } catch (int number) {
            printf("int %d\n", number);
        } catch (...) {
            puts("something");
        }
    }
    try {
        try {
            throw Trouble(5 * one);
        } catch (const std::runtime_error &) {
            throw;
        }
    } catch (Trouble &trouble) {
        printf("again %d\n", trouble.number);
    }
    try {
        int pair[] = { 2, 1 };
        qsort(pair, 2, sizeof pair[0], throws_in_callback);
    } catch (const Trouble &trouble) {
        printf("through qsort %d\n", trouble.number);
    }
    Circle circle;
    Square square;
    Shape *shapes[] = { &circle, &square };
    printf("%s %s\n", shapes[one]->name(),
           dynamic_cast<Circle *>(shapes[one]) ? "circle" : "no circle");
    int *mine = Counter<int>::next();
    printf("%d %s %s\n", *mine, mine == other_counter() ? "one" : "two",
           &common_text() == &other_common_text() ? "one" : "two");
}

} // namespace
#endif

// Called by ld.so's start as main, and by whoever has linked the objects in a
// process. What is printed is the host's affair to write out.
#ifdef __cplusplus
extern "C" int cell(void);
#endif
int cell(void)
{
    atexit(at_exit);
    printf("constructors: %s\n", notes);
    data();
    calls();
    strings();
    tables();
#ifndef WITHOUT_TLS
    thread_local_part();
#endif
#ifdef __cplusplus
    exceptions();
#endif
#ifndef WITHOUT_HOST
    host();
#endif
    fflush(NULL);
    return 42 * one;
}

int main(void)
{
    return cell();
}
