// C++ names as sources have them.

#include "demangle.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"

// A demangler takes its memory from the stack, some hundred bytes for each
// letter of the name, and comes back to itself for what a name nests. Beside
// that much the frames between having it and calling it are small.
enum { LONGEST = 512, LEAST_STACK = 256 * 1024 };

// Is this thread on a stack of glibc's, with that much left of it? For the
// first thread glibc reads all of /proc/self/maps.
static bool has_stack(size_t size)
{
    pthread_attr_t attributes;
    void *stack;
    size_t whole;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool known = pthread_attr_getstack(&attributes, &stack, &whole) == 0;
    pthread_attr_destroy(&attributes);
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t low = (uintptr_t)stack;
    return known && here > low && here - low <= whole && here - low >= size;
}

struct demangler demangler_in(const struct host_snapshot *snapshot)
{
    static const char *const files[] = { "libstdc++.so.6", "libc++abi.so.1" };
    const struct elf_name name = elf_name("__cxa_demangle");
    struct demangler demangler = { NULL };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const struct host_module *module = host_find(snapshot, files[i]);
        Elf64_Sym symbol;
        if (!module
            || !elf_find(&module->symbols, &name,
                         ELF_WANT_DEFINED | ELF_WANT_NEWEST, &symbol)
            || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
            continue;
        uint64_t address = elf_symbol_value(&module->object, &symbol);
        memcpy(&demangler.function, &address, sizeof address);
        break;
    }
    if (demangler.function && !has_stack(LEAST_STACK))
        demangler.function = NULL;
    return demangler;
}

char *demangle(const struct demangler *demangler, const char *name)
{
    int status;
    if (!demangler->function || name[0] != '_' || name[1] != 'Z'
        || strnlen(name, LONGEST + 1) > LONGEST)
        return NULL;
    char *theirs = demangler->function(name, NULL, NULL, &status);
    char *mine = theirs ? memory_copy(theirs) : NULL;
    free(theirs);
    return mine;
}

// Where the parentheses begin that end before `at`, or NULL.
static const char *opening(const char *start, const char *at)
{
    int depth = 0;
    while (at > start) {
        at--;
        if (*at == ')')
            depth++;
        else if (*at == '(' && --depth == 0)
            return at;
    }
    return NULL;
}

// An operator's name may hold what delimits others.
static const char *operator_in(const char *start, const char *end)
{
    for (const char *at = start; (at = strstr(at, "operator")) && at < end;
         at++)
        if (at == start || at[-1] == ':' || at[-1] == ' ')
            return at;
    return NULL;
}

struct qualified demangled_name(const char *demangled)
{
    const char *end = demangled + strlen(demangled);
    const char *last = strrchr(demangled, ')');
    const char *parameters = last ? opening(demangled, last + 1) : NULL;
    // "(anonymous namespace)::value" has no parameters.
    if (parameters && parameters > demangled && last[1] != ':')
        end = parameters;
    // A template's return type stands before it.
    const char *start = demangled;
    const char *operator = operator_in(demangled, end);
    const char *stop = operator ? operator : end;
    int depth = 0;
    for (const char *at = demangled; at < stop; at++) {
        depth += (*at == '<' || *at == '(') - (*at == '>' || *at == ')');
        if (*at == ' ' && depth == 0)
            start = at + 1;
    }
    return (struct qualified){ start, (size_t)(end - start) };
}

struct qualified demangled_base(struct qualified name)
{
    const char *end = name.text + name.size;
    const char *start = name.text;
    const char *operator = operator_in(start, end);
    if (operator)
        return (struct qualified){ operator, (size_t)(end - operator) };
    int depth = 0;
    const char *arguments = end;
    for (const char *at = start; at < end; at++) {
        if (*at == '<' && depth++ == 0)
            arguments = at;
        depth -= *at == '>';
        if (*at == ':' && depth == 0) {
            start = at + 1;
            arguments = end;
        }
    }
    return (struct qualified){ start, (size_t)(arguments - start) };
}
