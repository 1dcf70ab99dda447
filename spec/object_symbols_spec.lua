--- Names across objects and archives, by the static linker's rules.

local assert = require "spec.support.assert"
local elf = require "elf64load"
local cc = require "elf64load.cc"
local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"

local object = linking.object

-- An archive of these objects, by ar with these letters.
local function archive (letters, ...)
   local path = ("%s/%s.a"):format(fixtures.folder,
      fixtures.digest(table.concat({ letters, ... }, " ")))
   os.remove(path)
   -- In a thin archive the paths of its members count from its own folder.
   local words = { "cd '" .. fixtures.folder .. "' && ar " .. letters, path }
   for _, member in ipairs { ... } do
      words[#words + 1] = member:match "[^/]*$"
   end
   objects.shown("sh", "-c", table.concat(words, " "))
   return path
end

-- The lines of a symbol table of the image.
local function symbols (path, which)
   local out = {}
   for line in objects.shown("readelf", which, "-W", path):gmatch "[^\n]+" do
      local kind, binding, visibility, section, name = line:match
         "^%s*%d+: %x+%s+%S+ (%u+)%s+(%u+)%s+(%u+)%s+(%S+) (%S+)"
      if name then
         out[name] = table.concat({ kind, binding, visibility,
            section == "UND" and "UND" or "defined" }, " ")
      end
   end
   return out
end

describe("Names across objects", function ()
   it("are bound to the objects' own definitions", function ()
      assert.equal("3 4\nstart: 7\nclosed\n", linking.like_ld {
         object [[#include <stdio.h>
            extern int one(void), data; int here(void) { return 4; }
            int start(void) { printf("%d %d\n", one(), data);
               return one() + data; }]],
         object "int data = 4; int one(void) { return 3; }",
      })
   end)

   it("are defined once, or both places are named", function ()
      local one = object "int x; int both(void) { return 1; }"
      local two = object [[int y(void) { return 0; }
         int both(void) { return 2; }]]
      linking.refused("duplicate", { "'both' is defined twice", one .. " (.text",
         two .. " (.text" }, { one, two })
   end)

   it("are strong before common before weak, in any order", function ()
      local weak = object "__attribute__((weak)) int v = 1;"
      local common = object("int v;", "-fcommon")
      local strong = object "int v = 3;"
      local start = object "extern int v; int start(void) { return v; }"
      local function value (...)
         return linking.like_ld { start, ... }:match "start: (%d+)"
      end
      assert.equal("1", value(weak))
      assert.equal("0", value(weak, common))
      assert.equal("0", value(common, weak))
      assert.equal("3", value(common, strong))
      assert.equal("3", value(strong, common))
      assert.equal("3", value(weak, strong))
      assert.equal("3", value(strong, weak))
      assert.equal("3", value(weak, common, strong))
   end)

   it("take the largest size and alignment of what is common", function ()
      local out = linking.like_ld {
         object("char c[3]; extern char *whole(void);" ..
            "int start(void) { return ((long)whole() & 63) + whole()[99]; }",
            "-fcommon"),
         object("_Alignas(64) char c[100]; char *whole(void) { return c; }",
            "-fcommon"),
      }
      assert.equal("start: 0\nclosed\n", out)
   end)

   it("may be defined by nothing when they are weak", function ()
      assert.equal("start: 3\nclosed\n", linking.like_ld { object [[
         extern int nowhere(void) __attribute__((weak));
         extern int nothing __attribute__((weak));
         extern int hidden __attribute__((weak, visibility("hidden")));
         int start(void) { return (!nowhere) + 2 * (!&nothing); }]] })
   end)

   it("are undefined when they are hidden and nobody's", function ()
      linking.refused("undefined", { "'gone' is hidden" }, { object [[
         __attribute__((visibility("hidden"))) extern int gone(void);
         int start(void) { return gone(); }]] })
   end)

   it("are as visible as the narrowest says", function ()
      local path = linking.image {
         object [[int plain; static int own; int *p = &own;
            __attribute__((visibility("hidden"))) int hidden = 1;
            __attribute__((visibility("protected"))) int guarded = 1;
            __attribute__((visibility("internal"))) int inner = 1;
            int narrowed = 1; extern int wanted; int *q = &wanted; ]],
         object [[__attribute__((visibility("hidden"))) extern int narrowed;
            int *r = &narrowed;]],
      }
      local shown, all = symbols(path, "--dyn-syms"), symbols(path, "-s")
      assert.equal("OBJECT GLOBAL DEFAULT defined", shown.plain)
      assert.equal("OBJECT GLOBAL PROTECTED defined", shown.guarded)
      assert.equal("NOTYPE GLOBAL DEFAULT UND", shown.wanted)
      for _, name in ipairs { "hidden", "inner", "narrowed", "own" } do
         assert.is_nil(shown[name], name)
         assert.is_not_nil(all[name]:match "^OBJECT LOCAL", name)
      end
   end)

   it("are one where objects have the same group of sections", function ()
      local common = [[
         template <class T> struct box { static int count; };
         template <class T> int box<T>::count = 5;
         inline int *shared() { static int once = 7; return &once; } ]]
      local function compiled (source)
         return linking.cplusplus(common .. source)
      end
      local out = linking.like_ld({
         compiled [[int *other(); int *others();
            extern "C" int start() { box<int>::count++;
               return (shared() == other()) + (&box<int>::count == others())
                  + box<int>::count; }]],
         compiled [[int *other() { return shared(); }
            int *others() { return &box<int>::count; }]],
      }, "-lstdc++")
      assert.equal("start: 8\nclosed\n", out)
   end)
end)

describe("Archives", function ()
   local one = object "int two(void); int one(void) { return two(); }"
   local two = object "int two(void) { return 2; }"
   local third = object [[int third(void) { return 3; }
      __attribute__((constructor)) static void no(void) { __builtin_trap(); }]]
   local start = object "int one(void); int start(void) { return one(); }"

   local function parts (inputs)
      local out = {}
      for name in linking.run(inputs):gmatch "part: ([^\n]+)" do
         out[#out + 1] = name:match "%(.*%)$" or name
      end
      return out
   end

   local function member (path)
      return "(" .. path:match "[^/]*$" .. ")"
   end

   it("give the members that are needed, and no others", function ()
      local whole = archive("rcs", two, third, one)
      assert.same({ start, member(one), member(two) }, parts { start, whole })
      assert.equal("start: 2\nclosed\n", linking.like_ld { start, whole })
   end)

   it("give them without an index, and from files beside", function ()
      local bare = archive("rcS", two, third, one)
      assert.same({ start, member(one), member(two) }, parts { start, bare })
      local thin = archive("rcsT", two, third, one)
      assert.equal(3, #parts { start, thin })
      assert.equal("start: 2\nclosed\n", linking.like_ld { start, thin })
   end)

   it("are searched where they stand, once", function ()
      local first, second = archive("rcs", one), archive("rcs", two, third)
      assert.same({ start, member(one), member(two) },
         parts { start, first, second })
      -- What stands before an object that wants it was searched before.
      assert.same({ start }, parts { first, start })
      assert.same({ start, member(one) }, parts { start, second, first })
   end)

   it("are not searched for what is weak or defined", function ()
      local weak = object [[extern int two(void) __attribute__((weak));
         int start(void) { return two ? two() : 9; }]]
      assert.same({ weak }, parts { weak, archive("rcs", two) })
      local own = object [[int two(void) { return 1; }
         int start(void) { return two(); }]]
      assert.same({ own }, parts { own, archive("rcs", two) })
   end)

   it("are taken whole on request, and when there is nothing else", function ()
      local both = archive("rcs", one, two)
      assert.same({ member(one), member(two) }, parts { both })
      assert.same({ third, member(one), member(two) },
         parts { third, "whole", both })
   end)

   it("are refused when nothing is in them", function ()
      linking.refused("badformat", { "no object" }, { archive "rcs" })
   end)

   it("say which member is at fault", function ()
      local bad = fixtures.folder .. "/object-symbols-bad.o"
      local text = campaign.contents(two)
      campaign.write(bad, text:sub(1, 18) .. "\xb7\0" .. text:sub(21))
      linking.refused("badarch", { "object-symbols-bad.o)" },
         { "whole", archive("rcS", bad) })
   end)
end)

describe("What a linker gives", function ()
   it("is there for objects that ask for it", function ()
      assert.equal("start: 1\nclosed\n", linking.like_ld {
         object [[#include <stdlib.h>
            #include <pthread.h>
            extern void *__dso_handle __attribute__((visibility("hidden")));
            extern char __ehdr_start[] __attribute__((visibility("hidden")));
            extern char _end[], __bss_start[], _edata[];
            static void never(void) { __builtin_trap(); }
            int start(void) {
               pthread_atfork(NULL, NULL, NULL);
               at_quick_exit(never);
               return &__dso_handle && __ehdr_start[1] == 'E'
                  && _end >= __bss_start && __bss_start >= _edata;
            }]],
      })
   end)

   it("runs what atexit was given when the image is closed", function ()
      assert.equal("start: 0\nbye\nclosed\n", linking.like_ld { object [[
         #include <stdio.h>
         #include <stdlib.h>
         static void bye(void) { puts("bye"); }
         int start(void) { fflush(stdout); return atexit(bye); }]] })
   end)

   it("has what compilers call in place of an instruction", function ()
      local source = [[
            typedef unsigned __int128 wide;
            static volatile wide n = ((wide)7 << 70) + 3, by = (wide)7 << 64;
            static volatile double x = 3;
            static volatile int power = 3;
            static volatile __float128 quad = 1.5;
            int start(void) {
               wide quotient = n / by, rest = n % by;
               return (int)quotient - (int)rest * 2
                  + (int)__builtin_powi(x, power) - 24
                  + (__builtin_cpu_supports("sse2") ? 1 : 0)
                  + (int)(quad * 2); }]]
      for _, path in ipairs { object(source), (cc.shared(source, "-fPIC")) } do
         local plugin <close> = assert(elf.open(path))
         assert.equal(65, plugin:cdef "int start(void);".start())
      end
   end)

   it("gives names without their versions", function ()
      local definer = linking.assembly [[
         .globl current, old
         .symver current, chosen@@TWO
         .symver old, chosen@ONE
         .text
         current: mov $2, %eax; ret
         old: mov $1, %eax; ret]]
      local user = object "int chosen(void); int start(void) { return chosen(); }"
      assert.equal("start: 2\nclosed\n",
         linking.started(linking.image { user, definer }))
      linking.refused("unsupported", { "'memcpy@GLIBC_2.2.5'" }, {
         linking.assembly ".symver old, memcpy@GLIBC_2.2.5\ncall old" })
   end)

   it("marks where sections of one name begin and end", function ()
      local user = [[
         struct row { int value; };
         #define ROW(name, n) __attribute__((section("rows"), used)) \
            static struct row name = { n };
         #define CONSTANT(name, n) __attribute__((section("constants"), used)) \
            static const int name = n;
      ]]
      assert.equal("start: 111\nclosed\n", linking.like_ld {
         object(user .. [[ROW(one, 1) CONSTANT(four, 10)
            extern struct row __start_rows[], __stop_rows[];
            extern const int __start_constants[], __stop_constants[];
            extern int __start_none[] __attribute__((weak));
            int start(void) { int sum = __start_none != 0;
               for (struct row *r = __start_rows; r < __stop_rows; r++)
                  sum += r->value;
               for (const int *c = __start_constants; c < __stop_constants; c++)
                  sum += *c;
               return sum; }]]),
         object(user .. "int filler[9] = { 1 }; ROW(two, 50) ROW(three, 50)"),
      })
      local long = ("long_"):rep(100)
      assert.equal("start: 4\nclosed\n", linking.like_ld { object((([[
         __attribute__((section("NAME"), used)) static char there[4];
         extern char __start_NAME[], __stop_NAME[];
         int start(void) { return __stop_NAME - __start_NAME; }]])
         :gsub("NAME", long))) })
   end)
end)
