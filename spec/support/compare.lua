--- The same opened by ld.so and by this loader, and what both did, as text.
--
-- A script is a list of lines, each one step:
--
--    open NAME PATH [global|lazy|deepbind|nodelete|noload]...
--    close NAME
--    call NAME FUNCTION [INTEGER [INTEGER]]   long f(long, long), result printed
--    value NAME VARIABLE                      a long, printed
--    has NAME SYMBOL [VERSION]                whether a lookup finds it
--    versioned NAME FUNCTION VERSION          as call, of that version
--    offset NAME SYMBOL                       its address minus the load bias
--    pages NAME FIRST LAST                    protection of pages, from the bias on
--    host PATH [global|noload|as NAME]...     glibc's dlopen, on both sides
--    unhost NAME                              glibc's dlclose
--    mapped PATH                              whether the file is
--    say TEXT
--
-- One child does it with dlopen, dlsym and dlclose, another with elf.open and
-- its kin. Fixtures print as they like (by write, unbuffered).

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local child = require "spec.support.child"

---@class compare
local compare = {}

local HARNESS = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct { char name[32]; void *handle; } opened[64];
static int count;

static void **find(const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(opened[i].name, name))
            return &opened[i].handle;
    strcpy(opened[count].name, name);
    return &opened[count++].handle;
}

static long mode_at(unsigned long address)
{
    char line[4096];
    long mode = -1;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (mode < 0 && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char text[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, text) == 3
            && from <= address && address < to)
            mode = (text[0] == 'r') | (text[1] == 'w') << 1
                   | (text[2] == 'x') << 2;
    }
    fclose(maps);
    return mode;
}

static int is_mapped(const char *path)
{
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (!found && fgets(line, sizeof line, maps))
        found = strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    static char line[8192];
    FILE *script = fopen(argv[1], "re");
    setvbuf(stdout, NULL, _IONBF, 0);
    while (fgets(line, sizeof line, script)) {
        char *word[10] = {0}, *rest;
        int words = 0;
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "say ", 4)) {
            puts(line + 4);
            continue;
        }
        for (char *at = strtok_r(line, " ", &rest); at;
             at = strtok_r(NULL, " ", &rest))
            word[words++] = at;
        if (!words)
            continue;
        if (!strcmp(word[0], "host")) {
            int mode = RTLD_NOW;
            const char *name = "host";
            for (int i = 2; i < words; i++)
                if (!strcmp(word[i], "as"))
                    name = word[++i];
                else
                    mode |= !strcmp(word[i], "global") ? RTLD_GLOBAL
                        : RTLD_NOLOAD;
            void *opened = *find(name) = dlopen(word[1], mode);
            printf("host: %s\n", opened ? "ok" : "failed");
            continue;
        }
        if (!strcmp(word[0], "mapped")) {
            printf("mapped: %s\n", is_mapped(word[1]) ? "yes" : "no");
            continue;
        }
        void **handle = find(word[1]);
        if (!strcmp(word[0], "open")) {
            int mode = RTLD_NOW;
            for (int i = 3; i < words; i++)
                mode |= !strcmp(word[i], "global") ? RTLD_GLOBAL
                    : !strcmp(word[i], "lazy") ? RTLD_LAZY
                    : !strcmp(word[i], "deepbind") ? RTLD_DEEPBIND
                    : !strcmp(word[i], "nodelete") ? RTLD_NODELETE
                    : RTLD_NOLOAD;
            if (mode & RTLD_LAZY)
                mode &= ~RTLD_NOW;
            *handle = dlopen(word[2], mode);
            printf("open %s: %s\n", word[1], *handle ? "ok" : "failed");
            if (!*handle) {
                const char *why = dlerror();
                fprintf(stderr, "%s\n", why ? why : "not open");
            }
            continue;
        }
        if (!*handle) {
            printf("%s %s: not open\n", word[0], word[1]);
            continue;
        }
        if (!strcmp(word[0], "close") || !strcmp(word[0], "unhost")) {
            printf("%s %s: %s\n", word[0], word[1],
                   dlclose(*handle) ? "failed" : "ok");
        } else if (!strcmp(word[0], "pages")) {
            struct link_map *map = *handle;
            long first = strtol(word[2], 0, 0), last = strtol(word[3], 0, 0);
            printf("pages");
            for (long at = first; at < last; at += 4096) {
                long mode = mode_at(map->l_addr + at);
                if (mode < 0)
                    printf(" ---");
                else
                    printf(" %c%c%c", mode & 1 ? 'r' : '-',
                           mode & 2 ? 'w' : '-', mode & 4 ? 'x' : '-');
            }
            printf("\n");
        } else {
            const char *version = !strcmp(word[0], "versioned")
                || (!strcmp(word[0], "has") && words > 3) ? word[3] : NULL;
            void *at = version ? dlvsym(*handle, word[2], version)
                               : dlsym(*handle, word[2]);
            if (!strcmp(word[0], "has")) {
                printf("has %s%s%s: %s\n", word[2], version ? "@" : "",
                       version ? version : "", at ? "yes" : "no");
            } else if (!at) {
                printf("%s %s: no symbol\n", word[0], word[2]);
            } else if (!strcmp(word[0], "value")) {
                printf("%s = %ld\n", word[2], *(long *)at);
            } else if (!strcmp(word[0], "offset")) {
                struct link_map *map = *handle;
                printf("%s at %ld\n", word[2], (long)at - (long)map->l_addr);
            } else {
                int from = version ? 4 : 3;
                long a = words > from ? strtol(word[from], 0, 0) : 0;
                long b = words > from + 1 ? strtol(word[from + 1], 0, 0) : 0;
                printf("%s() = %ld\n", word[2],
                       ((long (*)(long, long))at)(a, b));
            }
        }
    }
    return 0;
}
]]

local REPLAY = [=[
local elf = require "elf64load"
io.stdout:setvbuf "no"
local opened = {}

-- Functions and variables are reached by their addresses, which a small plugin
-- in a runtime of its own calls and reads.
local reach = assert(elf.runtime {}:open(arg[2])):cdef
   "long reach_call(long, long, long); long reach_value(long);"

local function say (...) io.stdout:write(string.format(...), "\n") end

local function complain (kind, message)
   io.stderr:write(("kind: %s\nmessage: %s\n"):format(kind, message))
end

local function mode (address)
   for line in io.lines "/proc/self/maps" do
      local from, to, text = line:match "^(%x+)-(%x+) (...)"
      if tonumber(from, 16) <= address and address < tonumber(to, 16) then
         return text
      end
   end
   return "---"
end

local steps = {}

local glibc = assert(package.loadlib(arg[3], "luaopen_dlopen"))()

local hosts = {}

function steps.host (path, ...)
   local words, options = { ... }, {}
   for at, word in ipairs(words) do options[word] = words[at + 1] or true end
   local handle = glibc.load(path, options.global, options.noload)
   hosts[options.as or "host"] = handle
   say("host: %s", handle and "ok" or "failed")
end

function steps.unhost (name)
   say("unhost %s: %s", name, glibc.unload(hosts[name]) and "ok" or "failed")
end

function steps.mapped (path)
   for line in io.lines "/proc/self/maps" do
      if line:find(path, 1, true) then return say "mapped: yes" end
   end
   say "mapped: no"
end

function steps.open (name, path, ...)
   local options = {}
   for _, option in ipairs { ... } do options[option] = true end
   local plugin, message, kind = elf.open(path, options)
   opened[name] = plugin
   say("open %s: %s", name, plugin and "ok" or "failed")
   if not plugin then complain(kind, message) end
end

function steps.close (name)
   opened[name]:close()
   say("close %s: ok", name)
end

function steps.pages (name, first, last)
   local out = { "pages" }
   for at = math.tointeger(first), math.tointeger(last) - 1, 4096 do
      out[#out + 1] = mode(opened[name].base + at)
   end
   say("%s", table.concat(out, " "))
end

function steps.has (name, symbol, version)
   local found = opened[name]:lookup(symbol, version)
   say("has %s%s: %s", symbol, version and "@" .. version or "",
      found and "yes" or "no")
end

-- Looks a symbol up for a step, and says so when there is none.
local function find (step, name, symbol, version)
   local found, message, kind = opened[name]:lookup(symbol, version)
   if found then return math.tointeger(found.address) end
   complain(kind, message)
   say("%s %s: no symbol", step, symbol)
end

function steps.value (name, symbol)
   local address = find("value", name, symbol)
   if address then say("%s = %d", symbol, reach.reach_value(address)) end
end

function steps.offset (name, symbol)
   local address = find("offset", name, symbol)
   if address then say("%s at %d", symbol, address - opened[name].base) end
end

local function call (step, name, symbol, version, a, b)
   local address = find(step, name, symbol, version)
   if address then
      say("%s() = %d", symbol, reach.reach_call(address,
         math.tointeger(a or 0), math.tointeger(b or 0)))
   end
end

function steps.call (name, symbol, a, b)
   call("call", name, symbol, nil, a, b)
end

function steps.versioned (name, symbol, version, a, b)
   call("versioned", name, symbol, version, a, b)
end

-- Those that are not about something that was opened.
local ANYTIME <const> = { open = true, host = true, unhost = true,
   mapped = true }

for line in io.lines(arg[1]) do
   local step, rest = line:match "^(%S+) ?(.*)"
   if step == "say" then
      say("%s", rest)
   elseif step then
      local words = {}
      for word in rest:gmatch "%S+" do words[#words + 1] = word end
      if not ANYTIME[step] and not opened[words[1]] then
         say("%s %s: not open", step, words[1])
      else
         steps[step](table.unpack(words))
      end
   end
end
]=]

-- glibc's dlopen and dlclose as Lua functions. package.loadlib does not do: it
-- asks for a path once only.
local DLOPEN = [[
#include <dlfcn.h>
#include <lauxlib.h>

static int load(lua_State *L)
{
    void *handle = dlopen(luaL_checkstring(L, 1), RTLD_NOW
        | (lua_toboolean(L, 2) ? RTLD_GLOBAL : RTLD_LOCAL)
        | (lua_toboolean(L, 3) ? RTLD_NOLOAD : 0));
    if (handle)
        lua_pushlightuserdata(L, handle);
    else
        lua_pushnil(L);
    return 1;
}

static int unload(lua_State *L)
{
    lua_pushboolean(L, dlclose(lua_touserdata(L, 1)) == 0);
    return 1;
}

int luaopen_dlopen(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"load", load}, {"unload", unload}, {0, 0}};
    luaL_newlib(L, functions);
    return 1;
}
]]

local REACH = [[
long reach_call(long (*function)(long, long), long a, long b)
{
    return function(a, b);
}

long reach_value(const long *variable)
{
    return *variable;
}
]]

-- A program that runs a Lua script, as lua5.4 does, and may have more in it.
local HOST = [[
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_newtable(L);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
    if (luaL_dofile(L, argv[1])) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    lua_close(L);
    return 0;
}
]]

---@class options
---@field env? table<string, string>
---@field preload? string
---@field program? string in the place of the program that asks ld.so
---@field host? string in the place of the host that asks this loader

--- The program that does a script's steps with dlopen.
---@param extra? string more C for it, e.g. symbols that it exports
---@param flags? string
---@return string path
function compare.harness (extra, flags)
   return assert(cc.program(HARNESS .. (extra or ""), flags))
end

--- A host for this loader that may have the same more in it. It loads core.so.
---@param extra? string
---@param flags? string
---@return string path
function compare.host (extra, flags)
   return assert(cc.program(HOST .. (extra or ""), "-I/usr/include/lua5.4 "
      .. "-Wl,-E -l:liblua5.4.a -lm -ldl " .. (flags or "")))
end

--- A Lua module with glibc's dlopen(path, global, noload) and dlclose(handle) as
--- `load` and `unload`, for package.loadlib(path, "luaopen_dlopen").
---@return string path
function compare.dlopen ()
   return assert(cc.shared(DLOPEN, "-I/usr/include/lua5.4"))
end

--- Does a script with ld.so.
---@param lines string[]
---@param options? options
---@return result
function compare.theirs (lines, options)
   options = options or {}
   local path = fixtures.text(table.concat(lines, "\n") .. "\n", ".script")
   return child.run({ options.program or compare.harness(), path },
      { env = options.env, preload = options.preload })
end

--- Does a script with this loader.
---@param lines string[]
---@param options? options
---@return result
function compare.ours (lines, options)
   options = options or {}
   local path = fixtures.text(table.concat(lines, "\n") .. "\n", ".script")
   return child.lua(REPLAY, { path, assert(cc.shared(REACH)), compare.dlopen() },
      { env = options.env, preload = options.preload, host = options.host })
end

return compare
