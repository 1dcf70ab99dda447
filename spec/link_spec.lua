--- Plugins made of object files and archives.

local elf = require "elf64load"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
require "spec.support.assert"

local folder = os.tmpname()
os.remove(folder)
assert(require "lfs".mkdir(folder))

teardown(function () child.run { "rm", "-rf", folder } end)

-- The object of a text in C, by a name of its own.
local function object (name, text, flags)
   local source = ("%s/%s.c"):format(folder, name)
   local path = ("%s/%s.o"):format(folder, name)
   disk.write(source, text)
   local result = child.run({ "sh", "-c", ("gcc -w -c %s -o %s %s"):format(
      flags or "-fPIC", path, source) }, { bare = true, merge = true })
   assert(result.code == 0, result.out)
   return path
end

local function archive (name, ...)
   local path = folder .. "/" .. name
   local result = child.run({ "ar", "rcs", path, ... }, { bare = true })
   assert(result.code == 0, result.err)
   return path
end

local COUNTER <const> = [[
   int V = 3;
   static int counter = 10;
   __attribute__((noinline)) static int bump(int by) { return counter += by; }
   int F(void) { return bump(V); }
   __attribute__((constructor)) static void begin(void) { counter = 20; }
]]

describe("An object", function ()
   it("is opened as a plugin, once by its path", function ()
      local path = object("counter", COUNTER)
      local p <close> = assert(elf.open(path))
      local q <close> = assert(elf.open(path))
      assert.equal(p, q)
      assert.equal(path, p.path)
      assert.equal("started", p.state)
      assert.equal(23, p:cdef "int F(void);".F())
      local r <close> = assert(elf.open(path, { private = true }))
      assert.is_false(p == r)
      assert.equal(p, elf.loaded[path])
   end)

   it("shows its static functions and variables", function ()
      local p <close> = assert(elf.open(object("statics", COUNTER)))
      local C = p:cdef "extern int counter; int bump(int); int F(void);"
      C.counter = 100
      assert.equal(105, C.bump(5))
      assert.equal(108, C.F())
      local where = elf.whence(p:lookup "bump")
      assert.equal("bump", where.symbol)
      assert.equal(0, where.offset)
      assert.fails_with("undefined", p.lookup, p, "bumps")
   end)

   it("is planned, with nothing run", function ()
      local path = object("planned", COUNTER
         .. "extern int getppid(void); int P(void) { return getppid(); }")
      local plan <close> = assert(elf.plan(path))
      assert.equal(path, plan.path)
      local found
      for _, binding in ipairs(plan.bindings) do
         found = found or (binding.symbol == "getppid" and binding.provider)
      end
      assert.truthy(found:find("libc.so.6", 1, true))
      assert.is_nil(elf.loaded[path])
      local p <close> = assert(plan:commit())
      assert.equal(23, p:cdef "int F(void);".F())
   end)

   it("answers why it is open and what it is bound to", function ()
      local path = object("why", "extern int puts(const char *);"
         .. "int F(void) { return puts(\"\"); }")
      local p <close> = assert(elf.open(path))
      assert.equal(path, p:why().path)
      local binding = p:bindings "puts"[1]
      assert.is_true(binding.host)
      assert.equal(path, binding.wanter)
      local names = {}
      for _, symbol in ipairs(p:symbols()) do names[symbol.name] = true end
      assert.is_true(names.F)
   end)

   it("imports what a runtime defines", function ()
      local mods <close> = elf.runtime {}
      mods:define("double clock_now(void)", function () return 42.5 end)
      local p <close> = assert(mods:open(object("clock",
         "double clock_now(void); double twice(void) "
         .. "{ return 2 * clock_now(); }")))
      assert.equal(85.0, p:cdef "double twice(void);".twice())
   end)

   it("is refused when something is missing", function ()
      local path = object("missing", "void no_such_name(void);"
         .. "void F(void) { no_such_name(); }")
      local message = assert.fails_with("undefined", elf.open, path)
      assert.truthy(message:find("no_such_name", 1, true), message)
      assert.is_nil(elf.loaded[path])
   end)

   it("comes from bytes as well", function ()
      local file = assert(io.open(object("bytes", COUNTER), "rb"))
      local p <close> = assert(elf.load(file:read "a", "pack:counter"))
      file:close()
      assert.equal("pack:counter", p.path)
      assert.equal(23, p:cdef "int F(void);".F())
   end)

   it("is not an archive", function ()
      local path = archive("libone.a", object("one", COUNTER))
      local message = assert.fails_with("badformat", elf.open, path)
      assert.truthy(message:find("elf.link", 1, true), message)
   end)
end)

describe("Code of each kind", function ()
   local TEXT <const> = [[
      #include <stdio.h>
      #include <stdlib.h>
      extern char **environ;
      static const char *const words[] = { "none", "one", "two" };
      static int table[4] = { 1, 2, 3, 4 };
      static __thread int mine = 5;
      int sum(int n)
      {
          int r = 0;
          for (int i = 0; i < n; i++) r += table[i];
          return r + mine++;
      }
      const char *word(int n)
      {
          switch (n) {
          case 0: return words[0];
          case 1: return words[1];
          case 5: return "five";
          case 6: return "six";
          case 7: return "seven";
          default: return words[2];
          }
      }
      int streams(void) { return stdout != NULL && environ != NULL
          && fputs("", stdout) >= 0; }
      int compares(void *f) { return f == (void *)malloc; }
   ]]
   for _, flags in ipairs { "-O0 -fPIC", "-O2 -fPIE", "-O0 -fno-pic", "-O2 -fno-pic",
      "-O2 -fno-plt", "-O1 -mcmodel=large" } do
      it("works: " .. flags, function ()
         local path = object("kinds" .. flags:gsub("%W", ""), TEXT, flags)
         local p <close> = assert(elf.open(path))
         local C = p:cdef [[ int sum(int); const char *word(int);
            int streams(void); int compares(void *); ]]
         assert.equal(15, C.sum(4))
         assert.equal("seven", elf.string(C.word(7)))
         assert.equal("two", elf.string(C.word(9)))
         assert.equal(1, C.streams())
         assert.equal(1, C.compares(elf.cast("void *",
            elf.host:lookup "malloc")))
         if flags:find "no%-pic" then
            assert.is_true(p.base < 0x80000000)
         end
      end)
   end
end)

describe("What is too far away", function ()
   it("is called through a variable all the same", function ()
      local definer <close> = assert(elf.open(object("hook",
         "static int seven(int x) { return x + 7; } int (*hook)(int) = seven;"
         .. "int level = 5;"), { global = true }))
      for _, flags in ipairs { "-O2 -fno-pic", "-O0 -fno-pic", "-O2 -fPIE" } do
         local p <close> = assert(elf.open(object("caller"
            .. flags:gsub("%W", ""), [[
            extern int (*hook)(int); extern int level;
            int calls(int x) { return hook(x) + hook(1); }
            int jumps(int x) { return hook(x); }
            int add(int x) { level += x; return level * 2; }
            int *where(void) { return &level; }
            int is(int *p) { return p == &level; }
         ]], flags)))
         local C = p:cdef "int calls(int), jumps(int), add(int), is(int *);"
         assert.equal(18, C.calls(3))
         assert.equal(9, C.jumps(2))
         local level = definer:cdef "extern int level;".level
         assert.equal(2 * (level + 4), C.add(4))
         assert.equal(1, C.is(elf.cast("int *", definer:lookup "level")))
      end
   end)

   it("is refused by object, section and symbol where it cannot be", function ()
      local path = object("push",
         'void F(void) { __asm__("push environ; pop %%rax" ::: "rax"); }',
         "-fno-pic")
      local message, detail = assert.fails_with("unsupported", elf.open, path)
      for _, word in ipairs { "push.o", ".text+0x", "'environ'", "R_X86_64_32S",
         "-fPIC" } do
         assert.truthy(message:find(word, 1, true), message)
      end
      assert.equal("environ", detail.symbol)
      assert.equal(path, detail.path)
      assert.truthy(detail.advice:find("-fPIC", 1, true))
   end)
end)

describe("Objects and archives", function ()
   local one = object("first", "int two(void); int first(void) "
      .. "{ return 1 + two(); }")
   local two = object("second", "int three(void); int two(void) "
      .. "{ return 20 + three(); }")
   local three = object("third", "int three(void) { return 300; }")
   local other = object("other", "int other_is_there; int three(void);")

   it("are one plugin", function ()
      local p <close> = assert(elf.link { one, two,
         archive("libthree.a", other, three) })
      assert.equal(one, p.name)
      assert.equal(321, p:cdef "int first(void);".first())
      assert.fails_with("undefined", p.lookup, p, "other_is_there")
   end)

   it("have the name that they are given", function ()
      local p <close> = assert(elf.link({ one, two, three },
         { name = "./game.o" }))
      local q <close> = assert(elf.open "./game.o")
      assert.equal(p, q)
   end)

   it("may be sources", function ()
      local file = assert(io.open(two, "rb"))
      local p <close> = assert(elf.link { { path = one },
         elf.source { bytes = file:read "a", name = "two" }, three })
      file:close()
      assert.equal(321, p:cdef "int first(void);".first())
   end)

   it("must not define a name twice", function ()
      local again = object("again", "int three(void) { return 4; }")
      local message = assert.fails_with("duplicate", elf.link,
         { one, two, three, again })
      assert.truthy(message:find("third.o", 1, true), message)
      assert.truthy(message:find("again.o", 1, true), message)
   end)

   it("are checked before anything is made of them", function ()
      assert.fails_with("notfound", elf.link, { one, folder .. "/none.o" })
      assert.has_error(function () elf.link {} end)
      assert.has_error(function () elf.link { 7 } end)
      assert.has_error(function () elf.link("a.o") end)
      assert.has_error(function () elf.link({ one }, { named = "a" }) end)
   end)

   it("are shown to verify one by one", function ()
      local seen = {}
      local mods <close> = elf.runtime {
         verify = function (_, name)
            seen[#seen + 1] = name
            return name ~= three, "not this one"
         end,
      }
      assert.fails_with("denied", mods.link, mods, { one, two, three })
      assert.same({ one, two, three }, seen)
   end)
end)

describe("An object that is replaced", function ()
   local one = object("begin", "int ending(void); int start(void) "
      .. "{ return 1 + ending(); }")
   local function ending (number)
      return object("end" .. number, ("int ending(void) { return %d; }"):format(
         number))
   end

   it("counts from then on", function ()
      local first, second = ending(10), ending(20)
      local p <close> = assert(elf.link({ one, first },
         { start = false, name = "replaced" }))
      local symbol = p:lookup "start"
      assert.equal(p, p:replace("end10.o", second))
      assert.equal("replaced", p.name)
      assert.equal("mapped", p.state)
      assert.has_error(function () return symbol:as "int (void)" () end)
      assert(p:start())
      assert.equal(21, p:cdef "int start(void);".start())
      local message = assert.fails_with("inuse", p.replace, p, second, first)
      assert.truthy(message:find("started", 1, true), message)
   end)

   it("is again what was there when the file has changed since", function ()
      local first = ending(30)
      local p <close> = assert(elf.link({ first, one }, { start = false }))
      os.rename(ending(31), first)
      os.execute(": >" .. one)
      assert(p:replace(first, first))
      assert(p:replace(first, first))
      assert(p:start())
      assert.equal(32, p:cdef "int start(void);".start())
   end)

   it("leaves all as it was when it fails", function ()
      local first = ending(40)
      local again = object("begin2", "int ending(void); int start(void) "
         .. "{ return 1 + ending(); }")
      local p <close> = assert(elf.link({ again, first }, { start = false }))
      local base = p.base
      assert.fails_with("undefined", p.replace, p, first,
         object("nothing", "int unrelated;"))
      assert.fails_with("notfound", p.replace, p, "none.o", first)
      assert.fails_with("badformat", p.replace, p, first,
         elf.source { bytes = "no object", name = "text" })
      local q <close> = assert(elf.open(again, { noload = true }))
      assert.equal(p, q)
      assert.fails_with("inuse", p.replace, p, first, first)
      q:close()
      assert.equal(base, p.base)
      assert(p:start())
      assert.equal(41, p:cdef "int start(void);".start())
   end)
end)
