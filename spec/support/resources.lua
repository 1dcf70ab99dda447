--- What this process holds: mappings, descriptors, heap, modules of glibc.
--
-- Taken by a small Lua module of its own, which glibc loads once: what is
-- measured does not depend on the loader that is measured, and measuring
-- allocates next to nothing.

local cc = require "elf64load.cc"
local child = require "spec.support.child"

local SOURCE = [[
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <lauxlib.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int contents(lua_State *L)
{
    luaL_Buffer buffer;
    int fd = open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC);
    ssize_t count;
    if (fd < 0)
        return luaL_error(L, "cannot open %s", lua_tostring(L, 1));
    luaL_buffinit(L, &buffer);
    do {
        char *room = luaL_prepbuffsize(&buffer, 65536);
        count = read(fd, room, 65536);
        luaL_addsize(&buffer, count > 0 ? count : 0);
    } while (count > 0);
    close(fd);
    luaL_pushresult(&buffer);
    return 1;
}

static int descriptors(lua_State *L)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    lua_newtable(L);
    while ((entry = readdir(folder))) {
        char path[300], target[1000];
        ssize_t size;
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(folder))
            continue;
        strcpy(path, "/proc/self/fd/");
        strcat(path, entry->d_name);
        size = readlink(path, target, sizeof target);
        lua_pushlstring(L, target, size > 0 ? size : 0);
        lua_setfield(L, -2, entry->d_name);
    }
    closedir(folder);
    return 1;
}

// What malloc keeps for its thread it counts as given out: up to seven blocks of
// each small size. So all of those are taken, and what was taken is subtracted.
static size_t in_use(void)
{
    enum { SIZES = 64, KEPT = 7 };
    void *blocks[SIZES * KEPT];
    struct mallinfo2 info;
    size_t taken = 0, count = 0;
    for (size_t size = 24; count < SIZES * KEPT; size += 16)
        for (int i = 0; i < KEPT; i++)
            blocks[count++] = malloc(size);
    info = mallinfo2();
    for (size_t i = 0; i < count; i++) {
        taken += malloc_usable_size(blocks[i]) + sizeof(size_t);
        free(blocks[i]);
    }
    return info.uordblks + info.hblkhd - taken;
}

static int heap(lua_State *L)
{
    size_t (*sanitizers)(void) = (size_t (*)(void))dlsym(
        RTLD_DEFAULT, "__sanitizer_get_current_allocated_bytes");
    if (sanitizers) {
        lua_pushinteger(L, sanitizers());
    } else {
        lua_pushinteger(L, (lua_Integer)in_use());
    }
    return 1;
}

static int trim(lua_State *L)
{
    malloc_trim(0);
    return 0;
}

// What glibc itself has: dl_iterate_phdr shows plugins too.
static int modules(lua_State *L)
{
    lua_newtable(L);
    for (struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
        lua_pushstring(L, map->l_name);
        lua_rawseti(L, -2, lua_rawlen(L, -2) + 1);
    }
    return 1;
}

static int page(lua_State *L)
{
    lua_pushinteger(L, sysconf(_SC_PAGESIZE));
    return 1;
}

int luaopen_resources(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"contents", contents}, {"descriptors", descriptors},
        {"heap", heap}, {"modules", modules}, {"page", page},
        {"trim", trim}, {0, 0}};
    luaL_newlib(L, functions);
    return 1;
}
]]

-- The loader is kept by its registry entry until the process ends, hence the
-- name that does not change.
local core = assert(package.loadlib(
   assert(cc.shared(SOURCE, "-I/usr/include/lua5.4")), "luaopen_resources"))()

---@class resources
local resources = {}

--- Every mapping, one line each, but for heap and stack, which grow as they
--- like. Under a sanitizer only what is mapped from files, since it maps memory
--- of its own at any time.
---@return string[]
function resources.mappings ()
   local lines = {}
   for line in core.contents "/proc/self/maps":gmatch "[^\n]+" do
      local range, mode, path = line:match "^(%S+) (%S+) %S+ %S+ %S+%s*(.*)"
      if path ~= "[heap]" and path ~= "[stack]"
            and not (child.sanitizer and path:sub(1, 1) ~= "/") then
         -- A file that was replaced meanwhile is mapped as it was.
         lines[#lines + 1] = ("%s %s %s"):format(range, mode,
            (path:gsub(" %(deleted%)$", "")))
      end
   end
   return lines
end

--- The open descriptors: number to what it is open on.
---@return table<string, string>
function resources.descriptors ()
   return core.descriptors()
end

-- What a finaliser still refers to goes with a later collection, and what has a
-- finaliser of its own with one later still.
local function collect ()
   local before, after = math.huge, collectgarbage "count"
   while after < before do
      before = after
      collectgarbage()
      collectgarbage()
      after = collectgarbage "count"
   end
end

--- Bytes that malloc has given out, as of now, after full collections.
---@return integer
function resources.heap ()
   collect()
   return core.heap()
end

--- Resident memory in bytes, after what is free was given back.
---@return integer
function resources.resident ()
   collect()
   core.trim()
   local text = core.contents "/proc/self/smaps_rollup"
   return tonumber(text:match "\nRss:%s+(%d+) kB") * 1024
end

--- What glibc has mapped, in its own order.
---@return string[]
function resources.modules ()
   return core.modules()
end

---@class snapshot
---@field mappings string[]
---@field descriptors table<string, string>
---@field modules string[]

--- Mappings, descriptors and glibc's list as they are now.
---@return snapshot
function resources.snapshot ()
   collect()
   return {
      mappings = resources.mappings(),
      descriptors = resources.descriptors(),
      modules = resources.modules(),
   }
end

local function missing (from, other, sign, out)
   local known = {}
   for _, line in ipairs(other) do known[line] = (known[line] or 0) + 1 end
   for _, line in ipairs(from) do
      if (known[line] or 0) > 0 then
         known[line] = known[line] - 1
      else
         out[#out + 1] = sign .. line
      end
   end
end

--- What differs between two snapshots, in words; nil when nothing does.
---@param before snapshot
---@param after snapshot
---@return string|nil
function resources.difference (before, after)
   local out = {}
   for _, what in ipairs { "mappings", "modules" } do
      missing(before[what], after[what], "- ", out)
      missing(after[what], before[what], "+ ", out)
   end
   for number, target in pairs(before.descriptors) do
      if after.descriptors[number] ~= target then
         out[#out + 1] = ("- descriptor %s: %s"):format(number, target)
      end
   end
   for number, target in pairs(after.descriptors) do
      if before.descriptors[number] ~= target then
         out[#out + 1] = ("+ descriptor %s: %s"):format(number, target)
      end
   end
   if #out > 0 then return table.concat(out, "\n") end
end

return resources
