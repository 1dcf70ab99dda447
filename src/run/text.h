// A text that grows. Once memory has run out it takes no more, so that only the
// end of a row of additions has to be checked.

#ifndef RUN_TEXT_H
#define RUN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; // ends in a zero; NULL before the first addition
    size_t size;
    size_t room;
    bool failed;
};

void text_add(struct text *text, const char *more);
void text_add_bytes(struct text *text, const char *bytes, size_t size);
void text_format(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Back to a size that it has had.
void text_cut(struct text *text, size_t size);

// The text, "" when it is empty.
const char *text_get(const struct text *text);

void text_free(struct text *text);

// The last part of a path.
const char *text_base(const char *path);

#endif
