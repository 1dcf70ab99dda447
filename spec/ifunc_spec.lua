-- IFUNC: functions that a resolver chooses while the plugin is opened, when it
-- runs, and what it may use, against ld.so.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local BASIC = [[
static long one(void) { return 1; }
static long two(void) { return 2; }
long calls;
static void *choose(void) { calls++; return calls ? two : one; }
long picked(void) __attribute__((ifunc("choose")));
static long secret(void) __attribute__((ifunc("choose")));
__attribute__((visibility("hidden"))) long hidden(void)
    __attribute__((ifunc("choose")));
long (*pointer)(void) = picked;
long (*hidden_pointer)(void) = hidden;
long by_call(void) { return picked(); }
long by_secret(void) { return secret() + hidden(); }
long by_pointer(void) { return pointer() + hidden_pointer(); }
long same(void) { return pointer == picked; }
]]

local needing = fixtures.needing

describe("An IFUNC", function ()
   it("is called, pointed to and looked up as what its resolver chose", function ()
      local path = assert(cc.shared(BASIC))
      assert.like_ldso({ "open a " .. path, "call a by_call",
         "call a by_secret", "call a by_pointer", "call a same",
         "call a picked" }, { "by_call() = 2", "by_secret() = 4",
         "by_pointer() = 4", "same() = 1", "picked() = 2" })
   end)

   it("that is hidden needs R_X86_64_IRELATIVE", function ()
      local found
      for _, relocation in ipairs(elfedit.read(assert(cc.shared(BASIC))):relocations()) do
         found = found or relocation.r_type == elfedit.R_X86_64_IRELATIVE
      end
      assert.truthy(found)
   end)

   it("has its resolver asked as often as by ld.so", function ()
      assert.like_ldso({ "open a " .. assert(cc.shared(BASIC)), "value a calls" })
   end)

   it("of a dependency is chosen for its users", function ()
      local path = needing(assert(cc.shared(BASIC)), [[
         extern long picked(void);
         long (*const kept)(void) = picked;
         long ask(void) { return picked() * 10 + kept(); }
      ]])
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 22" })
   end)

   it("of the host is chosen for plugins", function ()
      -- Ones that no sanitizer replaces.
      local path = assert(cc.shared([[
         extern char *rawmemchr(const char *, int), *stpncpy(char *,
             const char *, unsigned long);
         extern long getpid(void);
         char *(*volatile kept)(const char *, int) = rawmemchr;
         long distance(void) { return (char *)kept - (char *)getpid; }
         long other(void) { return (char *)stpncpy - (char *)getpid; }
         long found(void) { static char text[] = "four";
            return kept(text, 'r') - text; }
      ]], "-fno-builtin"))
      assert.like_ldso({ "open a " .. path, "call a distance",
         "call a other", "call a found" }, { "found() = 3" })
   end)

   it("whose resolver answers NULL is NULL", function ()
      local path = assert(cc.shared [[
         static void *choose(void) { return 0; }
         long picked(void) __attribute__((ifunc("choose")));
         long (*volatile pointer)(void) = picked;
         long is_null(void) { return pointer == 0; }
      ]])
      assert.like_ldso({ "open a " .. path, "call a is_null" },
         { "is_null() = 1" })
   end)

   it("in a slot with an addend gets it added", function ()
      local image = elfedit.read(assert(cc.shared [[
         static char text[8] = "abcdefg";
         static void *choose(void) { return text; }
         char *picked(void) __attribute__((ifunc("choose")));
         char *pointer = (char *)picked;
         long letter(void) { return *pointer; }
      ]]))
      image:relocation { symbol = "picked" }.r_addend = 3
      assert.like_ldso({ "open a " .. image:save(), "call a letter" },
         { "letter() = 100" })
   end)

   it("has the size that its symbol says (R_X86_64_SIZE64)", function ()
      local image = elfedit.read(assert(cc.shared(BASIC .. [[
         volatile unsigned long slot[2] = { (unsigned long)picked };
         long size(void) { return slot[0]; }
      ]])))
      local relocation = image:relocation {
         offset = image:symbol "slot".st_value }
      relocation.r_type = elfedit.R_X86_64_SIZE64
      image:symbol "picked".st_size = 123
      assert.like_ldso({ "open a " .. image:save(), "call a size" },
         { "size() = 123" })
   end)
end)

describe("A resolver", function ()
   it("finds the plugin's other relocations done", function ()
      local path = assert(cc.shared [[
         extern long getpid(void);
         long data = 5;
         long *const table[] = { &data, &data };
         static long good(void) { return 1; }
         static long bad(void) { return 0; }
         static void *choose(void)
         {
             return *table[1] == 5 && data == 5 && getpid() > 0 ? good : bad;
         }
         long picked(void) __attribute__((ifunc("choose")));
         static long secret(void) __attribute__((ifunc("choose")));
         long ask(void) { return picked() * 10 + secret(); }
      ]])
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 11" })
   end)

   it("finds what the plugin needs relocated, and its IFUNCs chosen", function ()
      local paths = fixtures.group {
         top = { needs = { "middle" }, source = [[
            extern long middle(void);
            static long good(void) { return 1; }
            static long bad(void) { return 0; }
            static void *choose(void) { return middle() == 5 ? good : bad; }
            long picked(void) __attribute__((ifunc("choose")));
            long ask(void) { return picked(); } ]] },
         middle = { needs = { "below" }, source = [[
            extern long below(void);
            static long five(void) { return 5; }
            static long six(void) { return 6; }
            static void *choose(void) { return below() == 9 ? five : six; }
            long middle(void) __attribute__((ifunc("choose"))); ]] },
         below = { source = [[
            static long nine(void) { return 9; }
            static void *choose(void) { return nine; }
            long below(void) __attribute__((ifunc("choose"))); ]] },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a ask" },
         { "ask() = 1" })
   end)

   it("can read what relocations put into a dependency's tables", function ()
      local paths = fixtures.group {
         top = { needs = { "below" }, source = [[
            extern long *table[];
            static long good(void) { return 1; }
            static long bad(void) { return 0; }
            static void *choose(void) { return *table[0] == 3 ? good : bad; }
            long picked(void) __attribute__((ifunc("choose")));
            long ask(void) { return picked(); } ]] },
         below = { source = "long three = 3; long *table[] = { &three };" },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a ask" },
         { "ask() = 1" })
   end)

   it("in a circle finds the others' relocations done", function ()
      -- Each asks a plain function of the other, which reads a table.
      local function half (mine, other)
         return ([[
            extern long %s_plain(void);
            static long value = 7;
            long *const %s_table[] = { &value };
            long %s_plain(void) { return **%s_table; }
            static long good(void) { return 1; }
            static long bad(void) { return 0; }
            static void *choose(void) { return %s_plain() == 7 ? good : bad; }
            long %s(void) __attribute__((ifunc("choose")));
            long ask_%s(void) { return %s(); }
         ]]):format(other, mine, mine, mine, other, mine, mine, mine)
      end
      local paths = fixtures.group {
         a = { needs = { "b" }, source = half("a", "b") },
         b = { needs = { "a" }, source = half("b", "a") },
      }
      -- ld.so relocates one of them before the other and calls a resolver whose
      -- table is not relocated yet; here all other relocations come first.
      for _, first in ipairs { "a", "b" } do
         assert.opens_as({ "open x " .. paths[first], "call x ask_a",
            "call x ask_b" }, { "ask_a() = 1", "ask_b() = 1" })
      end
   end)

   it("may call an IFUNC of its own plugin whose relocation comes earlier", function ()
      local path = assert(cc.shared [[
         static long inner(void) { return 4; }
         static void *choose_inner(void) { return inner; }
         long first(void) __attribute__((ifunc("choose_inner")));
         static long good(void) { return 1; }
         static long bad(void) { return 0; }
         long (*volatile kept)(void) = first;
         static void *choose_outer(void) { return kept() == 4 ? good : bad; }
         long second(void) __attribute__((ifunc("choose_outer")));
         long ask(void) { return second(); }
      ]])
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 1" })
   end)

   it("can use thread-local variables", function ()
      local path = assert(cc.shared([[
         __thread long number = 8;
         static long good(void) { return 1; }
         static long bad(void) { return 0; }
         static void *choose(void) { return ++number == 9 ? good : bad; }
         long picked(void) __attribute__((ifunc("choose")));
         long ask(void) { return picked(); }
      ]], "-ftls-model=global-dynamic"))
      -- ld.so goes by the order of the table, and dies of this one.
      assert.opens_as({ "open a " .. path, "call a ask" }, { "ask() = 1" })
   end)

   it("runs before any constructor of its plugin", function ()
      local path = assert(cc.shared [[
         #include <unistd.h>
         static long one(void) { return 1; }
         static void *choose(void)
         { write(1, "resolver\n", 9); return one; }
         static long picked(void) __attribute__((ifunc("choose")));
         __attribute__((constructor)) static void start(void)
         { if (picked() == 1) write(1, "constructor\n", 12); }
      ]])
      assert.like_ldso({ "open a " .. path },
         { "resolver\nconstructor\nopen a: ok" })
   end)
end)

describe("start = false", function ()
   -- What ran is told by the environment, which the host owns.
   local source = [[
      #include <stdlib.h>
      #include <unistd.h>
      static long one(void) { return 1; }
      static void *choose(void) { setenv("IFUNC_RAN", "yes", 1); return one; }
      long picked(void) __attribute__((ifunc("choose")));
      static long secret(void) __attribute__((ifunc("choose")));
      long (*pointer)(void) = picked;
      long ask(void) { return picked() + secret() + pointer(); }
      __attribute__((constructor)) static void start(void)
      { setenv("CONSTRUCTOR_RAN", "yes", 1); }
      __attribute__((destructor)) static void stop(void)
      { setenv("DESTRUCTOR_RAN", "yes", 1); }
   ]]
   local function run (body)
      local result = child.lua([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1], { start = false }))
         local function ran ()
            local out = {}
            for _, what in ipairs { "IFUNC", "CONSTRUCTOR", "DESTRUCTOR" } do
               if os.getenv(what .. "_RAN") then out[#out + 1] = what end
            end
            print(table.concat(out, " "))
         end
      ]] .. body, { assert(cc.shared(source)) })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   it("runs neither resolvers nor constructors", function ()
      assert.equal("mapped\n\n", run [[ print(p.state) ran() ]])
   end)

   it("leaves both to p:start(), once", function ()
      assert.equal("started\nIFUNC CONSTRUCTOR\n3\n", run [[
         assert(p:start())
         print(p.state)
         ran()
         assert(p:start())
         print(p:cdef "long ask(void);".ask())
      ]])
   end)

   it("and then a close runs no destructors", function ()
      assert.equal("\n", run [[ p:close() ran() ]])
   end)

   it("and then the end of the process runs no destructors either", function ()
      assert.equal("ok\n", run [[ print "ok" ]])
      local talker = assert(cc.shared [[
         #include <unistd.h>
         __attribute__((destructor)) static void stop(void)
         { write(1, "stop\n", 5); }
      ]])
      local result = child.lua([[
         local elf = require "elf64load"
         assert(elf.open(arg[1], { start = false }))
      ]], { talker })
      assert.equal("", result.out)
      assert.equal(0, result.code)
   end)

   it("holds for dependencies, too", function ()
      local top = assert(cc.shared("long top;", "-Wl,--no-as-needed "
         .. assert(cc.shared(source))))
      local p <close> = assert(elf.open(top, { start = false }))
      assert.is_nil(os.getenv "CONSTRUCTOR_RAN")
      assert.is_nil(os.getenv "IFUNC_RAN")
      assert.equal("mapped", p.state)
   end)
end)
