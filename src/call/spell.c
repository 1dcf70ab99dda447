// Types as C writes them: what stands around a name, from the name outwards
// (C11 6.7.6).

#include <stdarg.h>
#include <stdio.h>

#include "call/type.h"

// Counts all of the text and keeps what fits.
struct text {
    char *buffer;
    size_t size;
    size_t length;
};

static void add(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    bool room = text->length < text->size;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(room ? text->buffer + text->length : NULL,
                           room ? text->size - text->length : 0, format, args);
    va_end(args);
    text->length += length > 0 ? (size_t)length : 0;
}

// A pointer to a function or an array takes parentheses: int (*)(void).
static bool wrapped(const struct call_type *type)
{
    const struct call_type *target = type->target;
    return !target->name
        && (target->kind == CALL_FUNCTION || target->kind == CALL_ARRAY);
}

// What stands before the name: "const char *" and "int (*". Answers whether
// that ends in a word, from which what follows is set off by a space.
static bool before(struct text *text, const struct call_type *type)
{
    if (type->name) {
        add(text, "%s%s", type->constant ? "const " : "", type->name);
        return true;
    }
    bool word = before(text, type->target);
    if (type->kind != CALL_POINTER)
        return word;
    add(text, "%s%s*%s", word ? " " : "", wrapped(type) ? "(" : "",
        type->constant ? "const" : "");
    return type->constant;
}

static void parameters(struct text *text, const struct call_type *type)
{
    add(text, "(");
    for (size_t i = 0; i < type->count; i++)
        add(text, "%s%s", i ? ", " : "", type->parameters[i]->spelling);
    if (type->variadic)
        add(text, "%s...", type->count ? ", " : "");
    else if (type->count == 0)
        add(text, "void");
    add(text, ")");
}

// What stands after it: "[4]" and ")(void)".
static void after(struct text *text, const struct call_type *type)
{
    if (type->name)
        return;
    if (type->kind == CALL_POINTER && wrapped(type))
        add(text, ")");
    else if (type->kind == CALL_ARRAY && type->count == CALL_UNBOUNDED)
        add(text, "[]");
    else if (type->kind == CALL_ARRAY)
        add(text, "[%zu]", type->count);
    else if (type->kind == CALL_FUNCTION)
        parameters(text, type);
    after(text, type->target);
}

size_t call_spell(const struct call_type *type, const char *name,
                  char *buffer, size_t size)
{
    struct text text = { buffer, size, 0 };
    bool word = before(&text, type);
    bool suffixed = !type->name && (type->kind == CALL_ARRAY
                                    || type->kind == CALL_FUNCTION);
    add(&text, "%s%s", word && (name || suffixed) ? " " : "",
        name ? name : "");
    after(&text, type);
    return text.length;
}
