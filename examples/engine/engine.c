// A small engine: its own main loop, allocator, log, files in a pack, and a Lua
// 5.4 state. Mods are opened by elf64load, as boot.lua says; while frames run,
// they are plain function calls.

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elf64load.h>
#include <lauxlib.h>
#include <lualib.h>

int luaopen_elf64load(lua_State *L), luaopen_lpeg(lua_State *L);

// ------------------------------------------------------------------- log ---

static int frame;

// Mods call it, too.
void engine_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("[%d] ", frame);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void warn(void *data, const char *message, int more)
{
    (void)data;
    engine_log("warning: %s%s", message, more ? " ..." : "");
}

// ---------------------------------------------------------------- memory ---

struct budget {
    size_t used, most;
};

static struct budget loader, lua;

static void *resize(void *data, void *block, size_t size)
{
    struct budget *budget = data;
    size_t before = block ? malloc_usable_size(block) : 0;
    void *made = NULL;
    if (size)
        made = realloc(block, size);
    else
        free(block);
    if (!size || made) {
        // Threads may open plugins at the same time.
        size_t used = __atomic_add_fetch(
            &budget->used, (made ? malloc_usable_size(made) : 0) - before,
            __ATOMIC_RELAXED);
        if (used > budget->most)
            budget->most = used;
    }
    return made;
}

static void *resize_lua(void *data, void *block, size_t before, size_t size)
{
    (void)before;
    return resize(data, block, size);
}

// ------------------------------------------------------------------ pack ---

// The pack begins with lines "NAME OFFSET SIZE" and an empty one.
struct entry {
    char name[64];
    unsigned long offset, size;
};

static struct {
    const char *path;
    struct entry entries[64];
    int count;
} pack;

static int read_pack(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    pack.path = path;
    while (pack.count < 64 && fgets(line, sizeof line, file)) {
        struct entry *entry = &pack.entries[pack.count];
        if (sscanf(line, "%63s %lu %lu", entry->name, &entry->offset,
                   &entry->size) != 3)
            break;
        pack.count++;
    }
    fclose(file);
    return pack.count;
}

static const struct entry *find(const char *name)
{
    for (int i = 0; i < pack.count; i++)
        if (strcmp(pack.entries[i].name, name) == 0)
            return &pack.entries[i];
    return NULL;
}

// --------------------------------------------------------- for scripts ---

// engine.find(name): where in the pack a file is, or nothing.
static int find_file(lua_State *L)
{
    const struct entry *entry = find(luaL_checkstring(L, 1));
    if (!entry)
        return 0;
    lua_pushstring(L, pack.path);
    lua_pushinteger(L, (lua_Integer)entry->offset);
    lua_pushinteger(L, (lua_Integer)entry->size);
    return 3;
}

static int log_line(lua_State *L)
{
    engine_log("%s", luaL_checkstring(L, 1));
    return 0;
}

typedef void on_frame(int number);
static on_frame *frames[16];
static int frame_count;

// engine.each_frame(address): a function of a mod, called from now on.
static int each_frame(lua_State *L)
{
    if (frame_count == 16)
        return luaL_error(L, "too many mods");
    frames[frame_count++] = (on_frame *)luaL_checkinteger(L, 1);
    return 0;
}

static int open_engine(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "find", find_file }, { "log", log_line },
        { "each_frame", each_frame }, { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}

// Runs a script from the pack, which answers a function that ends it all.
static int run_script(lua_State *L, const char *name)
{
    const struct entry *entry = find(name);
    FILE *file = entry ? fopen(pack.path, "r") : NULL;
    char *text = entry ? malloc(entry->size) : NULL;
    int status = LUA_ERRFILE;
    if (file && text && fseek(file, (long)entry->offset, SEEK_SET) == 0
        && fread(text, 1, entry->size, file) == entry->size)
        status = luaL_loadbuffer(L, text, entry->size, name);
    else
        lua_pushfstring(L, "%s: cannot be read", name);
    free(text);
    if (file)
        fclose(file);
    return status == LUA_OK ? lua_pcall(L, 0, 1, 0) : status;
}

// ------------------------------------------------------------- main loop ---

int main(int count, char **words)
{
    const e64_allocator allocator = { sizeof allocator, resize, &loader };
    if (count != 2 || !read_pack(words[1])) {
        fprintf(stderr, "usage: engine PACK\n");
        return 2;
    }
    // Before anything of the loader is used.
    e64_set_allocator(&allocator, NULL);
    lua_State *L = lua_newstate(resize_lua, &lua);
    lua_setwarnf(L, warn, NULL);
    luaL_openlibs(L);
    luaL_requiref(L, "lpeg", luaopen_lpeg, 0);
    luaL_requiref(L, "elf64load", luaopen_elf64load, 0);
    luaL_requiref(L, "engine", open_engine, 0);
    lua_settop(L, 0);
    if (run_script(L, "boot.lua") != LUA_OK) {
        fprintf(stderr, "engine: %s\n", lua_tostring(L, -1));
        return 1;
    }
    for (frame = 1; frame <= 3; frame++)
        for (int i = 0; i < frame_count; i++)
            frames[i](frame);
    frame_count = 0;
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        engine_log("%s", lua_tostring(L, -1));
    lua_close(L);
    engine_log("elf64load used %zu KB at most, Lua %zu KB", loader.most / 1024,
               lua.most / 1024);
    return 0;
}
