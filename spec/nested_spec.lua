--- What constructors and destructors open, close and look up, against ld.so.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

local HEAD = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define say(...) dprintf(1, __VA_ARGS__)
#define BEGIN __attribute__((constructor)) static void begin(void)
#define END __attribute__((destructor)) static void end(void)
]]

local function shared (source, flags)
   return assert(cc.shared(HEAD .. source, flags))
end

-- A path that sources can name before there is a file.
local function place ()
   local path = os.tmpname()
   os.remove(path)
   return path .. ".so"
end

local function put (path, made)
   assert(os.execute(("ln -s '%s' '%s'"):format(made, path)))
   finally(function () os.remove(path) end)
end

describe("A constructor", function ()
   it("that opens what it is opened with does not start that", function ()
      for _, mode in ipairs { "RTLD_NOW", "RTLD_NOW | RTLD_NOLOAD" } do
         local root = place()
         local paths = fixtures.group {
            a = { needs = { "b" }, source = HEAD .. [[
               extern int ready;
               BEGIN { say("a: ready %d\n", ready); }
            ]] },
            b = { source = HEAD .. ([[
               int ready;
               BEGIN { say("b: %%d\n", dlopen("%s", %s) != 0); ready = 1; }
            ]]):format(root, mode) },
         }
         put(root, paths.a)
         assert.like_ldso({ "open a " .. root, "close a", "say end" },
            { "b: 1\na: ready 1\nopen a: ok" })
      end
   end)
end)

describe("A destructor", function ()
   local inner = shared [[
      BEGIN { say("+inner\n"); }
      END { say("-inner\n"); }
   ]]

   it("at exit may close what has yet to be stopped", function ()
      -- Memory that is given back is written to.
      local path = shared(([[
         static void *inner, *kept[256];
         BEGIN { inner = dlopen("%s", RTLD_NOW); }
         END
         {
             say("-outer\n");
             dlclose(inner);
             for (int i = 0; i < 256; i++)
                 kept[i] = memset(malloc(1024 + i * 16), 'A', 1024 + i * 16);
             for (int i = 0; i < 256; i++)
                 free(kept[i]);
             say("outer ends\n");
         }
      ]]):format(inner))
      assert.like_ldso({ "open a " .. path, "say end" },
         { "+inner\nopen a: ok\nend\n-outer\nouter ends\n-inner" })
   end)

   it("that ends the process leaves nothing unstopped", function ()
      local paths = fixtures.group {
         a = { needs = { "b" },
            source = HEAD .. [[END { say("-a\n"); exit(0); }]] },
         b = { source = HEAD .. [[END { say("-b\n"); }]] },
      }
      assert.like_ldso({ "open a " .. paths.a, "close a" }, { "-a\n-b" })
   end)

   it("that closes one of a circle leaves none of it", function ()
      local b = place()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = HEAD .. ([[
            static void *b;
            BEGIN { b = dlopen("%s", RTLD_NOW); }
            END { dlclose(b); say("-a\n"); }
         ]]):format(b) },
         b = { needs = { "c" }, source = HEAD .. [[END { say("-b\n"); }]] },
         c = { needs = { "b" }, source = HEAD .. [[END { say("-c\n"); }]] },
      }
      put(b, paths.b)
      assert.like_ldso({ "open a " .. paths.a, "close a", "mapped " .. paths.b,
         "mapped " .. paths.c, "say end" }, { "-a\n-c\n-b\nclose a: ok" })
   end)

   it("finds by RTLD_DEFAULT what its plugin needs", function ()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = HEAD .. [[
            END { say("seen %d\n", dlsym(RTLD_DEFAULT, "of_b") != 0); }
         ]] },
         b = { source = "int of_b;" },
      }
      assert.like_ldso({ "open a " .. paths.a, "close a" }, { "seen 1" })
   end)
end)

describe("At exit", function ()
   local function talker (name, more)
      return ([[END { say("-%s\n"); } %s]]):format(name, more or "")
   end

   it("what a lookup found in the caller's own scope changes no order",
      function ()
         local paths = fixtures.group {
            a = { needs = { "b", "c" }, source = HEAD .. talker("a", [[
               long ask(void) { return dlsym(RTLD_DEFAULT, "of_d") != 0; }
            ]]) },
            b = { needs = { "d" }, source = HEAD .. talker "b" },
            c = { source = HEAD .. talker "c" },
            d = { needs = { "a" }, source = HEAD .. talker("d", "int of_d;") },
         }
         assert.like_ldso({ "open a " .. paths.a, "open d " .. paths.d,
            "call a ask", "say end" }, { "ask() = 1" })
      end)

   it("what must not be unloaded is bound to without account", function ()
      local d = shared(talker("d", [[
         int of_r(void) __attribute__((weak));
         int of_d(void) { return of_r ? of_r() : 0; }
      ]]))
      local r = shared(talker("r", [[
         int of_d(void); int of_r(void) { return 1; }
         int (*use)(void) = of_d;
      ]]), d)
      local p = shared(talker("p", [[
         int of_d(void) __attribute__((weak));
         long ask(void) { return of_d ? of_d() : 0; }
      ]]))
      for _, how in ipairs { "global", "global nodelete" } do
         assert.like_ldso({ "open r " .. r .. " " .. how, "open p " .. p,
            "call p ask", "say end" }, { "ask() = 1" })
      end
   end)
end)

describe("RTLD_DEEPBIND", function ()
   it("makes nothing of DT_SYMBOLIC", function ()
      local source = [[
         int value = %d;
         long seen(void) { return *(int *)dlsym(RTLD_DEFAULT, "value"); }
      ]]
      local low = shared(source:format(1), "-Wl,-Bsymbolic")
      local high = shared([[
         int value = 2;
         long seen(void);
         long ask(void) { return seen(); }
      ]], low)
      assert.like_ldso({ "open a " .. high .. " deepbind", "call a ask" },
         { "ask() = 2" })
      assert.like_ldso({ "open a " .. high, "call a ask" }, { "ask() = 1" })
   end)
end)

describe("A dependency", function ()
   it("of what is not started cannot be started alone", function ()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = "int a;" },
         b = { source = "int b;" },
      }
      local runtime <close> = elf.runtime {}
      local a = assert(runtime:open(paths.a, { start = false }))
      local b = assert(runtime.loaded[paths.b])
      assert.fails_with("start", b.start, b)
      assert.equal("mapped", b.state)
      assert(a:start())
      assert.equal("started", b.state)
      assert(b:start())
   end)
end)
