// Looking into files that are not opened: what they say of themselves, before
// anything of theirs is mapped or run.

#include "peek.h"

#include <lauxlib.h>

#include "elf/file.h"
#include "elf/image.h"
#include "error.h"
#include "failure.h"

// More than what a symbol that describes its file needs.
enum { MOST_BYTES = 4096 };

struct piece {
    size_t size;
    char bytes[MOST_BYTES];
};

// The bytes that a file has for one of its symbols, before relocation.
static e64_status read_symbol(struct view file, const char *path,
                              const char *text, struct piece *piece)
{
    struct elf_image image;
    struct elf_name name = elf_name(text);
    Elf64_Sym symbol;
    struct view view;
    e64_status status = elf_image_read(file, path, &image);
    if (status != E64_OK)
        return status;
    if (!elf_find(&image.symbols, &name, ELF_WANT_DEFINED, &symbol)) {
        status = fail(E64_UNDEFINED, "%s does not define '%s'", path, text);
    } else if (symbol.st_size > sizeof piece->bytes
               || !elf_image_at(&image, symbol.st_value, symbol.st_size,
                                &view)) {
        status = fail(E64_BADFORMAT, "%s: '%s' is not within what the file "
                      "holds, or too long to be shown", path, text);
    } else {
        piece->size = view.size;
        memcpy(piece->bytes, view.data, view.size);
    }
    elf_image_free(&image);
    return status;
}

// core.peek(path, symbol): the bytes.
static int peek(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    const char *text = luaL_checkstring(L, 2);
    struct elf_file file;
    struct piece piece;
    e64_error error;
    e64_status status = elf_file_open_path(path, &file);
    if (status == E64_OK) {
        status = read_symbol(file.view, path, text, &piece);
        elf_file_close(&file);
    }
    if (error_give(status, &error) != E64_OK)
        return failure_push(L, &error, 0);
    lua_pushlstring(L, piece.bytes, piece.size);
    return 1;
}

void peek_open(lua_State *L)
{
    lua_pushcfunction(L, peek);
    lua_setfield(L, -2, "peek");
}
