// Bounds-checked views of the bytes of a file. A table that has been found to
// lie inside may be read without a check of each entry.

#ifndef ELF_VIEW_H
#define ELF_VIEW_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct view {
    const uint8_t *data;
    uint64_t size;
};

static inline bool view_has(struct view view, uint64_t offset, uint64_t size)
{
    return size <= view.size && offset <= view.size - size;
}

// The part of a view, or false when it does not lie inside.
static inline bool view_part(struct view view, uint64_t offset, uint64_t size,
                             struct view *part)
{
    if (!view_has(view, offset, size))
        return false;
    *part = (struct view){ view.data + offset, size };
    return true;
}

// What is left of a view behind so many of its bytes. An empty view has no
// address that anything could be added to.
static inline struct view view_behind(struct view view, uint64_t offset)
{
    return offset ? (struct view){ view.data + offset, view.size - offset }
                  : view;
}

// Copies `size` bytes out. Tables need not be aligned in a file that lies.
static inline bool view_read(struct view view, uint64_t offset, void *to,
                             size_t size)
{
    if (!view_has(view, offset, size))
        return false;
    memcpy(to, view.data + offset, size);
    return true;
}

// The string at an offset, or NULL when it does not end inside the view.
static inline const char *view_string(struct view view, uint64_t offset)
{
    if (offset >= view.size
        || !memchr(view.data + offset, 0, view.size - offset))
        return NULL;
    return (const char *)view.data + offset;
}

static inline uint16_t load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

#endif
