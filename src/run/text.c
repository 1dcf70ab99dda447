// A text that grows.

#include "text.h"

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
