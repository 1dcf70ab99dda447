--- Other people's code, and a C++ program, linked in the process from objects and
--- archives, at work.

local elf = require "elf64load"
local lfs = require "lfs"
local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local sourcing = require "spec.conformance.sourcing"
local wording = require "spec.conformance.wording"

local folder = os.tmpname()
os.remove(folder)
assert(lfs.mkdir(folder))

teardown(function () child.run { "rm", "-rf", folder } end)

-- Runs a command in a new folder, and gives the paths of what it makes there.
local function made (name, ...)
   local place = folder .. "/" .. name
   assert(lfs.mkdir(place))
   local result = child.run({ ... }, { folder = place })
   assert(result.code == 0, result.err)
   local paths = {}
   for file in lfs.dir(place) do
      if not file:find "^%." then paths[#paths + 1] = place .. "/" .. file end
   end
   table.sort(paths)
   return paths
end

-- An archive of the C compiler's folders.
local function library (name)
   return assert(campaign.output("gcc -print-file-name=" .. name))
end

-- All objects of an archive, each a file.
local function objects (name)
   return made(name, "ar", "x", library(name))
end

-- A plugin does what spec/conformance/work has the shared library do.
local function works (job, plugin)
   local work = {
      elf = elf,
      folder = folder,
      string = elf.string,
      output = campaign.output,
      open = function () return plugin end,
      equal = function (got, expected, what)
         assert.equal(expected, got, what)
      end,
   }
   return assert(loadfile(("spec/conformance/jobs/%s.lua"):format(job)))()(work)
end

-- None of its imports is a name like that.
local function imports_no (plugin, pattern)
   for _, binding in ipairs(plugin:bindings()) do
      assert.is_nil(binding.symbol:match(pattern))
   end
end

local function compresses (inputs)
   local p <close> = assert(elf.link(inputs))
   imports_no(p, "^[%l]*flate")
   assert.equal("20000000 bytes there and back at ten levels", works("libz", p))
end

describe("zlib", function ()
   it("compresses and restores when its objects are linked", function ()
      compresses(objects "libz.a")
   end)

   it("is pulled from its archive as far as an object needs it", function ()
      local asks = assert(cc.object [[
         unsigned long adler32(unsigned long, const char *, unsigned);
         unsigned long ask(void) { return adler32(1, "Wikipedia", 9); }
      ]])
      local p <close> = assert(elf.link { asks, library "libz.a" })
      assert.equal(0x11e60398, p:cdef "unsigned long ask(void);".ask())
      assert.is_nil((p:lookup "inflate"))
   end)
end)

-- Runs a script in a Lua of its own, and says what that answers.
local LUA <const> = [[
   local elf = require "elf64load"
   local p = assert(elf.link(table.move(arg, 2, #arg, 1, {})))
   -- The host is a Lua, too.
   for _, binding in ipairs(p:bindings()) do
      assert(not binding.symbol:find "^luaL?_", binding.symbol)
   end
   local C = p:cdef [=[
      typedef struct lua_State lua_State;
      lua_State *luaL_newstate(void);
      void luaL_openlibs(lua_State *L);
      int luaL_loadfilex(lua_State *L, const char *name, const char *mode);
      int lua_pcallk(lua_State *L, int arguments, int results, int handler,
         intptr_t context, void *continuation);
      const char *lua_tolstring(lua_State *L, int at, size_t *size);
      void lua_close(lua_State *L);
   ]=]
   local L = C.luaL_newstate()
   C.luaL_openlibs(L)
   local code = C.luaL_loadfilex(L, arg[1], nil)
   if code == 0 then code = C.lua_pcallk(L, 0, 1, 0, 0, nil) end
   io.write(elf.string(C.lua_tolstring(L, -1, nil)), "\n")
   C.lua_close(L)
   os.exit(code, true)
]]

local function as_the_host (inputs)
   local script = "spec/conformance/program/script.lua"
   local ours = child.lua(LUA, { script, table.unpack(inputs) })
   assert.equal(0, ours.code, ours.err .. ours.out)
   local theirs = child.lua("io.write(dofile(arg[1]), '\\n')", { script })
   assert.equal(0, theirs.code, theirs.err)
   assert.is_truthy(theirs.out:find("stack overflow", 1, true))
   assert.equal(theirs.out, ours.out)
end

describe("Lua", function ()
   it("runs a script as the host's does when its objects are linked",
      function () as_the_host(objects "liblua5.4.a") end)
end)

describe("What is compiled from Debian's sources #full", function ()
   local list = wording.list "spec/conformance/words.txt"
   local sources

   lazy_setup(function ()
      sources = sourcing.fetch(lfs.currentdir() .. "/build/sources",
         { "zlib", "lua5.4" })
   end)

   local function compiled (name, variant)
      for _, image in ipairs(list.images) do
         if image.name == name then
            return wording.objects(sources[image.package].path, image, variant)
         end
      end
   end

   for _, variant in ipairs(list.variants) do
      it(("works by %s %s"):format(variant.compiler, variant.flags), function ()
         compresses(compiled("libz", variant))
         as_the_host(compiled("liblua", variant))
      end)
   end
end)

-- A table, and a question about it with a function of our own.
local QUERY <const> = [[
#include <stddef.h>
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_context context;
typedef struct sqlite3_value value;
int sqlite3_open(const char *, sqlite3 **);
int sqlite3_close(sqlite3 *);
int sqlite3_exec(sqlite3 *, const char *, int (*)(void *, int, char **, char **),
                 void *, char **);
int sqlite3_create_function(sqlite3 *, const char *, int, int, void *,
                            void (*)(context *, int, value **),
                            void (*)(context *, int, value **),
                            void (*)(context *));
long sqlite3_value_int64(value *);
void sqlite3_result_int64(context *, long);
int snprintf(char *, size_t, const char *, ...);

static char answer[200];
static int length;

static int row(void *data, int count, char **values, char **names)
{
    for (int i = 0; i < count; i++)
        length += snprintf(answer + length, sizeof answer - length, "%s=%s ",
                           names[i], values[i]);
    return data != &answer;
}

static void squared(context *context, int count, value **values)
{
    long number = sqlite3_value_int64(values[0]);
    sqlite3_result_int64(context, number * number * count);
}

const char *query(void)
{
    sqlite3 *base;
    if (sqlite3_open(":memory:", &base) != 0
        || sqlite3_create_function(base, "squared", 1, 1, NULL, squared, NULL,
                                   NULL) != 0
        || sqlite3_exec(base,
            "CREATE TABLE fruit (name TEXT, weight INTEGER);"
            "INSERT INTO fruit VALUES ('apple', 120), ('pear', 130),"
            " ('apple', 180), ('plum', 20), ('plum', 25), ('plum', 21);"
            "SELECT name, count(*) AS n, sum(squared(weight)) AS s,"
            " round(avg(weight), 1) AS a FROM fruit GROUP BY name"
            " HAVING n > 1 ORDER BY s DESC",
            row, &answer, NULL) != 0
        || sqlite3_close(base) != 0)
        return "it failed";
    return answer;
}
]]

local function answers (compiler, flags)
   local asks = assert(cc.object(QUERY, { compiler = compiler, flags = flags }))
   local p <close> = assert(elf.link { asks, library "libsqlite3.a" })
   imports_no(p, "^sqlite3_")
   assert.equal("name=apple n=2 s=46800 a=150.0 name=plum n=3 s=1466 a=22.0 ",
      elf.string(p:cdef "const char *query(void);".query()))
end

describe("SQLite", function ()
   it("answers an object's query from its archive", function ()
      answers("gcc", "-O2 -fPIE")
   end)

   it("answers objects of both compilers, near and far #full", function ()
      for _, compiler in ipairs { "gcc", "clang" } do
         for _, flags in ipairs { "-O0 -fno-pic", "-O2 -fPIC", "-O2 -fno-plt",
            "-O2 -fno-pic -mcmodel=large" } do
            answers(compiler, flags)
         end
      end
   end)

   it("keeps databases that the shared library can read", function ()
      do
         local p <close> = assert(elf.link { library "libsqlite3.a" })
         assert.equal("20000 rows in and out, twice", works("libsqlite3", p))
      end
      local shared <close> = assert(elf.open "libsqlite3.so.0")
      local C = shared:cdef [[
         int sqlite3_open(const char *, void **);
         int sqlite3_prepare_v2(void *, const char *, int, void **, void *);
         int sqlite3_step(void *);
         const char *sqlite3_column_text(void *, int);
         int sqlite3_finalize(void *);
         int sqlite3_close(void *);
      ]]
      local base, statement = elf.new "void *", elf.new "void *"
      assert.equal(0, C.sqlite3_open(folder .. "/numbers.db", base))
      assert.equal(0, C.sqlite3_prepare_v2(base[0],
         "SELECT sum(n) || (SELECT ' ' || integrity_check FROM "
         .. "pragma_integrity_check) FROM number", -1, statement, nil))
      assert.equal(100, C.sqlite3_step(statement[0]))
      assert.equal("200010000 ok",
         elf.string(C.sqlite3_column_text(statement[0], 0)))
      assert.equal(0, C.sqlite3_finalize(statement[0]))
      assert.equal(0, C.sqlite3_close(base[0]))
   end)
end)

local PROGRAM <const> = "spec/conformance/program/"

-- Runs main of what is made of the arguments, and ends with what that answers.
local MAIN <const> = [[
   local elf = require "elf64load"
   -- Objects name no libraries.
   assert(elf.open("libstdc++.so.6", { global = true }))
   local p = assert(elf.link(arg))
   os.exit(p:cdef "int main(void);".main())
]]

-- Four objects and an archive of two print what ld's program prints.
local function as_ld (name, compiler, flags, link)
   local function object (file)
      return assert(cc.object { file = PROGRAM .. file .. ".cc",
         compiler = compiler, flags = flags })
   end
   local inputs = {}
   for at, file in ipairs { "main", "bank", "commands", "show" } do
      inputs[at] = object(file)
   end
   inputs[5] = made(name, "ar", "rcs", "libframed.a", object "framed",
      object "unused")[1]
   local program = folder .. "/" .. name .. "/program"
   local linked = child.run { compiler, link, "-o", program, table.unpack(inputs) }
   assert.equal(0, linked.code, linked.err)
   local limits = { input = PROGRAM .. "commands.txt" }
   local theirs = child.run({ program }, limits)
   assert.equal(6, theirs.code, theirs.err)
   local ours = child.lua(MAIN, inputs, limits)
   assert.equal(theirs.out, ours.out, ours.err)
   assert.equal(theirs.code, ours.code, ours.err)
end

describe("A C++ program with streams and exceptions", function ()
   it("prints what ld's prints, of four objects and an archive", function ()
      as_ld("plain", "g++", "-O1 -fPIE", "-pie")
   end)

   for _, compiler in ipairs { "g++", "clang++" } do
      for name, words in pairs {
         ["no-pic"] = { "-O0 -fno-pic", "-no-pie" },
         pic = { "-O2 -fPIC", "-pie" },
         sections = { "-O3 -fno-plt -ffunction-sections -fdata-sections", "-pie" },
      } do
         it(("prints it by %s, %s, too #full"):format(compiler, name), function ()
            as_ld(compiler .. name, compiler, words[1], words[2])
         end)
      end
   end
end)
