// The second object of a cell.

#include "cell.h"

#include <stdio.h>

static volatile int one = 1;

long other_value = 23;
const char *const other_names[3] = { "alpha", "beta", "gamma" };
struct pair other_pairs[2] = {
    { "own", &other_value }, { "theirs", &shared_value },
};

long other_add(long a, long b) { return a + b + (one - 1); }

long calls_back(long (*function)(long), long value)
{
    return function(value) + 1;
}

const char *other_text(void) { return "text of the other"; }

const char *other_kind(int number)
{
    static char room[40];
    const char *name;
    switch (number) {
    case 0: name = "none"; break;
    case 1: name = other_names[one]; break;
    case 2: name = other_text(); break;
    case 3: name = "three"; break;
    case 4: name = "tail of a string" + 5; break;
    default: name = "many"; break;
    }
    snprintf(room, sizeof room, "%d is %s", number, name);
    return room;
}

long other_weak(void) { return 8 * one; }

#ifndef WITHOUT_TLS
__thread long other_tls = 900;
static __thread long hidden_tls = 1;

long other_tls_add(long value)
{
    hidden_tls += value;
    return other_tls + hidden_tls;
}
#endif

__attribute__((constructor(205))) static void between(void) { said("205"); }

#ifdef __cplusplus
void other_throws(int kind)
{
    switch (kind * one) {
    case 0: return;
    case 1: throw Trouble(1);
    case 2: throw std::out_of_range("far away");
    case 3: throw 3;
    default: throw "text";
    }
}

int *other_counter() { return &Counter<int>::count; }
std::string &other_common_text() { return common_text(); }
#endif
