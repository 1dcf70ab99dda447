// Dynamic string tokens, with ld.so's rules for programs that run with rights
// which their caller does not have.

#include "dst.h"

#include <string.h>
#include <unistd.h>

enum token { NONE, ORIGIN, LIB, PLATFORM };

static const char *const tokens[] = { [ORIGIN] = "ORIGIN", [LIB] = "LIB",
                                      [PLATFORM] = "PLATFORM" };

static bool word_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
        || (c >= '0' && c <= '9') || c == '_';
}

// The token after a '$', and how many bytes it has.
static enum token token_at(const char *at, size_t size, size_t *length)
{
    bool curly = size > 0 && *at == '{';
    for (enum token token = ORIGIN; token <= PLATFORM; token++) {
        size_t name = strlen(tokens[token]);
        size_t end = name + curly;
        if (size < end || memcmp(at + curly, tokens[token], name) != 0)
            continue;
        if (curly ? size == end || at[end] != '}'
                  : size > end && word_character(at[end]))
            continue;
        *length = end + curly;
        return token;
    }
    return NONE;
}

// The folder of a file, as ld.so has it: the path up to the last '/', made
// absolute but not resolved.
static bool add_folder(const char *path, struct text *to)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    if (path[0] == '/') {
        text_add_bytes(to, path, size > 0 ? size : 1);
        return true;
    }
    char here[4096];
    if (!getcwd(here, sizeof here))
        return false;
    text_add(to, here);
    if (slash) {
        if (strcmp(here, "/") != 0)
            text_add(to, "/");
        text_add_bytes(to, path, size);
    }
    return true;
}

static bool add_origin(const struct dst *dst, struct text *to)
{
    const char *path = dst->executable ? dst->startup->origin : dst->path;
    if (!path)
        return false;
    if (!dst->executable)
        return add_folder(path, to);
    text_add(to, path);
    return true;
}

// Does an absolute path lead into one of ld.so's own folders, once "." and ".."
// are taken out of it?
static bool trusted(const struct startup *startup, const char *path)
{
    struct text plain = { 0 };
    if (*path != '/')
        return false;
    while (*path) {
        size_t size = strcspn(path, "/");
        if (size == 2 && path[0] == '.' && path[1] == '.') {
            char *last = strrchr(text_get(&plain), '/');
            text_cut(&plain, last ? (size_t)(last - plain.data) : 0);
        } else if (size > 0 && !(size == 1 && path[0] == '.')) {
            text_add(&plain, "/");
            text_add_bytes(&plain, path, size);
        }
        path += size;
        path += *path == '/';
    }
    text_add(&plain, "/");
    bool found = false;
    for (const char *const *at = startup->ldso.defaults; *at && !found; at++)
        found = strncmp(text_get(&plain), *at, strlen(*at)) == 0;
    found = found && !plain.failed;
    text_free(&plain);
    return found;
}

// Is the token the whole first component of the path?
static bool begins(const char *from, size_t size, size_t at, size_t length)
{
    return at == 0 && (length + 1 == size || from[length + 1] == '/');
}

bool dst_expand(const struct dst *dst, const char *from, size_t size,
                struct text *to)
{
    const struct startup *startup = dst->startup;
    size_t before = to->size;
    bool check = false;
    for (size_t at = 0; at < size;) {
        size_t length = 0;
        enum token token = NONE;
        if (from[at] == '$')
            token = token_at(from + at + 1, size - at - 1, &length);
        bool known = true;
        switch (token) {
        case NONE:
            if (from[at] == '?' && dst->mark)
                text_add(to, dst->mark);
            else
                text_add_bytes(to, from + at, 1);
            break;
        case ORIGIN:
            // Whoever makes a hard link to the program chooses its $ORIGIN.
            // Only what begins with it can be checked below.
            check = startup->secure && dst->executable;
            known = (!startup->secure || begins(from, size, at, length))
                 && add_origin(dst, to);
            break;
        case LIB:
            text_add(to, startup->ldso.lib);
            break;
        case PLATFORM:
            known = ldso_processor()->platform != NULL;
            if (known)
                text_add(to, ldso_processor()->platform);
            break;
        }
        if (!known) {
            text_cut(to, before);
            return false;
        }
        at += 1 + length;
    }
    if (check && !trusted(startup, text_get(to) + before)) {
        text_cut(to, before);
        return false;
    }
    return true;
}

bool dst_in(const char *text)
{
    size_t length;
    for (const char *at = text; (at = strchr(at, '$')); at++)
        if (token_at(at + 1, strlen(at + 1), &length) != NONE)
            return true;
    return false;
}
