// A text that grows.

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../memory.h"

void text_add_bytes(struct text *text, const char *bytes, size_t size)
{
    if (text->failed)
        return;
    if (text->room - text->size <= size) {
        size_t room = text->size + size + 1;
        if (room < 2 * text->room)
            room = 2 * text->room;
        if (room < 64)
            room = 64;
        char *data = memory_resize(text->data, room);
        if (!data) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *more)
{
    text_add_bytes(text, more, strlen(more));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *more = size < 0 ? NULL : memory_resize(NULL, (size_t)size + 1);
    if (more) {
        vsnprintf(more, (size_t)size + 1, format, again);
        text_add_bytes(text, more, (size_t)size);
    } else {
        text->failed = true;
    }
    memory_free(more);
    va_end(again);
    va_end(args);
}

void text_cut(struct text *text, size_t size)
{
    if (!text->data)
        return;
    text->size = size;
    text->data[size] = '\0';
}

const char *text_get(const struct text *text)
{
    return text->data ? text->data : "";
}

void text_free(struct text *text)
{
    memory_free(text->data);
    *text = (struct text){ 0 };
}

const char *text_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
