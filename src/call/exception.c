// Reads a C++ exception that has been caught, without a C++ library of our own:
// its header, its type and the type's bases are where the Itanium C++ ABI has
// them (2.2.1 "C++ Exception Objects", 2.9.5 "RTTI Layout"), which libstdc++
// and libc++abi share.

#include "call/exception.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

static void *read_pointer(const void *at, ptrdiff_t offset)
{
    void *value;
    memcpy(&value, (const char *)at + offset, sizeof value);
    return value;
}

// --------------------------------------------------------------- headers ---

// What is at which distance from the header's end, which is where the thrown
// object begins. The last part of a header is the struct _Unwind_Exception.
enum {
    HEADER_UNWIND = -32,
    HEADER_TYPE = HEADER_UNWIND - 80,
};

// The first seven letters of exception_class say whose it is, the last whether
// it is a second header for an object that was thrown before
// (std::rethrow_exception).
static const char gnu[] = "GNUCC++", clang[] = "CLNGC++";

struct thrown {
    const void *type; // std::type_info, or NULL: no C++ exception
    const void *object;
    char language[9]; // of another
};

static struct thrown read_header(const struct _Unwind_Exception *exception)
{
    struct thrown thrown = { 0 };
    uint64_t class = exception->exception_class;
    for (int i = 0; i < 8; i++)
        thrown.language[i] = (char)(class >> (56 - 8 * i));
    bool is_gnu = memcmp(thrown.language, gnu, 7) == 0;
    if (!is_gnu && memcmp(thrown.language, clang, 7) != 0)
        return thrown;
    const char *end = (const char *)exception - HEADER_UNWIND;
    thrown.object = end;
    // Where the first has the type the second has the object (libstdc++), or
    // before it (libc++abi).
    if (thrown.language[7] == 1)
        thrown.object = read_pointer(end, HEADER_TYPE - (is_gnu ? 0 : 8));
    thrown.type = read_pointer(thrown.object, HEADER_TYPE);
    return thrown;
}

// ----------------------------------------------------------------- types ---

// A std::type_info begins with its virtual table and its name, which a '*' may
// precede: it is no other's then.
static const char *name_of(const void *type)
{
    const char *name = read_pointer(type, 8);
    return name[0] == '*' ? name + 1 : name;
}

// The kind of a type is the type of its type_info, which stands before the
// functions of a virtual table.
static bool is_kind(const void *type, const char *kind)
{
    const void *of = read_pointer(read_pointer(type, 0), -8);
    return of && strcmp(name_of(of), kind) == 0;
}

enum { BASE_VIRTUAL = 1, BASE_PUBLIC = 2, BASE_SHIFT = 8, MOST_BASES = 32 };

// The std::exception that an object of a class is or has as a public base.
static const void *find_exception(const void *type, const void *object,
                                  int depth)
{
    if (depth > MOST_BASES)
        return NULL;
    if (strcmp(name_of(type), "St9exception") == 0)
        return object;
    // One public base that is not virtual, at the start.
    if (is_kind(type, "N10__cxxabiv120__si_class_type_infoE"))
        return find_exception(read_pointer(type, 16), object, depth + 1);
    if (!is_kind(type, "N10__cxxabiv121__vmi_class_type_infoE"))
        return NULL;
    const void *found = NULL;
    uint32_t count;
    memcpy(&count, (const char *)type + 20, sizeof count);
    for (uint32_t i = 0; i < count && !found; i++) {
        const char *base = (const char *)type + 24 + 16 * (size_t)i;
        intptr_t flags = (intptr_t)read_pointer(base, 8);
        ptrdiff_t offset = flags >> BASE_SHIFT;
        if (!(flags & BASE_PUBLIC))
            continue;
        // Where a virtual base is stands in the virtual table.
        if (flags & BASE_VIRTUAL)
            offset = (ptrdiff_t)read_pointer(read_pointer(object, 0), offset);
        found = find_exception(read_pointer(base, 0),
                               (const char *)object + offset, depth + 1);
    }
    return found;
}

// ------------------------------------------------------------------ text ---

// The third of its virtual functions, after two destructors. It may not throw.
static const char *what(const void *exception)
{
    const char *(*function)(const void *) = (const char *(*)(const void *))
        read_pointer(read_pointer(exception, 0), 16);
    return function(exception);
}

static void delete(struct _Unwind_Exception *exception)
{
    if (exception->exception_cleanup)
        exception->exception_cleanup(_URC_FOREIGN_EXCEPTION_CAUGHT, exception);
}

static void describe(const struct thrown *thrown, const void *owner,
                     exception_finder *find, char *text, size_t size)
{
    if (!thrown->type) {
        snprintf(text, size, "an exception of another language ('%s')",
                 thrown->language);
        return;
    }
    char *(*demangle)(const char *, char *, size_t *, int *)
        = (char *(*)(const char *, char *, size_t *, int *))
          find(owner, "__cxa_demangle");
    const char *mangled = name_of(thrown->type);
    char *name = demangle ? demangle(mangled, NULL, NULL, NULL) : NULL;
    const void *std = find_exception(thrown->type, thrown->object, 0);
    const char *reason = std ? what(std) : NULL;
    snprintf(text, size, "C++ exception %s%s%s", name ? name : mangled,
             reason ? ": " : "", reason ? reason : "");
    free(name);
}

void exception_end(struct _Unwind_Exception *exception, exception_finder *find,
                   char *text, size_t size)
{
    const struct thrown thrown = read_header(exception);
    // The library that it was thrown by, which counts those in flight.
    const void *owner = (const void *)exception->exception_cleanup;
    void *(*begin)(void *) = NULL;
    void (*end)(void) = NULL;
    if (thrown.type) {
        begin = (void *(*)(void *))find(owner, "__cxa_begin_catch");
        end = (void (*)(void))find(owner, "__cxa_end_catch");
    }
    bool counted = begin && end;
    if (counted)
        begin(exception);
    describe(&thrown, owner, find, text, size);
    if (!counted)
        delete(exception);
    else
        end();
}
