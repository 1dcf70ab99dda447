// What the two objects of a cell share.

#ifndef CELL_H
#define CELL_H

#ifdef __cplusplus
extern "C" {
#endif

// Data.
struct pair {
    const char *name;
    long *value;
};
extern long shared_value;
extern const char *const other_names[3];
extern struct pair other_pairs[2];
extern int undecided[4]; // neither object gives it a value

// Calls.
long other_add(long a, long b);
long calls_back(long (*function)(long), long value);
const char *other_text(void);
const char *other_kind(int number);
__attribute__((weak)) long other_weak(void);
__attribute__((weak)) long nobody_has(void);
void said(const char *text); // notes what a constructor or destructor says

// Thread-local variables.
#ifndef WITHOUT_TLS
extern __thread long other_tls;
long other_tls_add(long value);
#endif

#ifdef __cplusplus
}

#include <stdexcept>
#include <string>

// Exceptions.
struct Trouble : std::runtime_error {
    int number;
    explicit Trouble(int given)
        : std::runtime_error("trouble"), number(given) {}
};
void other_throws(int kind);

// One of all objects: the same function and the same static in both.
template <class T> struct Counter {
    static T count;
    static T *next() { ++count; return &count; }
};
template <class T> T Counter<T>::count = 40;
int *other_counter();
inline std::string &common_text()
{
    static std::string text = "made once";
    return text;
}
std::string &other_common_text();
#endif

#endif
