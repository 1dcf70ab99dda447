--- Why what is open is as it is: plugin:why, plugin:bindings, runtime:bindings.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

local scratch

local function place (name, path)
   local target = scratch .. "/" .. name
   child.run { "mkdir", "-p", target:match "^(.*)/" }
   child.run { "cp", path, target }
   return target
end

local function needing (source, names, flags)
   local words = { "-Wl,--no-as-needed " .. (flags or "") }
   for _, name in ipairs(names) do
      words[#words + 1] = assert(cc.shared("", "-Wl,-soname," .. name))
   end
   return assert(cc.shared(source, table.concat(words, " ")))
end

local function runpath (folders)
   return "-Wl,--enable-new-dtags -Wl,-rpath,'" .. folders .. "'"
end

local runtime

before_each(function ()
   scratch = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
   runtime = elf.runtime {}
end)

after_each(function ()
   assert(runtime:close())
   child.run { "rm", "-rf", scratch }
end)

describe("plugin:why", function ()
   it("says who asked for it, and every file that was tried", function ()
      local deep = place("lib/libdeep.so", assert(cc.shared "long d(void){return 1;}"))
      local mid = place("lib/libmid.so", needing("long m(void) { return 2; }",
         { "libdeep.so" }, runpath "$ORIGIN/none:$ORIGIN"))
      local top = place("top.so", needing("long t(void) { return 3; }",
         { "libmid.so" }, runpath "$ORIGIN/lib"))
      local p = assert(runtime:open(top))
      local why = assert(runtime.loaded[deep]):why()
      assert.equal(deep, why.path)
      assert.equal("libdeep.so", why.name)
      assert.equal(mid, why.wanter)
      assert.same({ mid, top }, why.wanters)
      assert.equal("DT_RUNPATH", why.found)
      local last = why.probes[#why.probes]
      assert.same({ path = deep, place = "DT_RUNPATH", owner = mid,
         result = "taken" }, last)
      assert.is_true(#why.probes > 1)
      for at = 1, #why.probes - 1 do
         assert.equal("notfound", why.probes[at].result)
      end
      assert.same({ { path = mid, as = "libdeep.so" } }, why.dependents)
      assert.equal(0, why.handles)
      for _, words in ipairs {
         ("%s needs 'libdeep.so', which is %s\n"):format(mid, deep),
         ("%s needs 'libmid.so', which is %s\n"):format(top, mid),
         ("'%s' was opened, which is %s\n"):format(top, top),
         ("/lib/none/libdeep.so (DT_RUNPATH of %s)\n"):format(mid),
         ("%s was taken (DT_RUNPATH of %s)\n"):format(deep, mid),
         ("%s needs it as 'libdeep.so'"):format(mid),
      } do
         assert.is_not_nil(why.message:find(words, 1, true), words .. "\n\n"
            .. why.message)
      end
      assert(p:close())
   end)

   it("says what was passed over", function ()
      local path = assert(cc.shared "long d(void) { return 1; }")
      local bytes = disk.contents(path)
      local other = disk.write(place("one/libx.so", path),
         bytes:sub(1, 18) .. "\183\0" .. bytes:sub(21))
      local found = place("two/libx.so", path)
      local folders <close> = elf.runtime { path = scratch .. "/one/?;"
         .. scratch .. "/two/?" }
      local why = assert(folders:open "libx.so"):why()
      assert.same({
         { path = other, place = "the runtime's path", result = "badarch" },
         { path = found, place = "the runtime's path", result = "taken" },
      }, why.probes)
      assert.is_not_nil(why.message:find(other .. " was passed over: badarch "
         .. "(the runtime's path)", 1, true), why.message)
   end)

   it("says that the policy's search answered", function ()
      local path = assert(cc.shared "long d(void) { return 1; }")
      local own <close> = elf.runtime { search = function (name)
         if name == "thing" then return path end
      end }
      local why = assert(own:open "thing"):why()
      assert.is_true(why.asked)
      assert.same({}, why.probes)
      assert.equal("thing", why.name)
   end)

   it("says of a path what it says without a search, which is not asked", function ()
      local path = assert(cc.shared "long d(void) { return 1; }")
      local plain <close> = elf.runtime {}
      local own <close> = elf.runtime { search = function (name)
         error("asked for " .. name)
      end }
      local why = assert(own:open(path)):why()
      assert.is_nil(why.asked)
      assert.same({ { path = path, place = "the path", result = "taken" } },
         why.probes)
      assert.same(assert(plain:open(path)):why(), why)
   end)

   it("says what keeps it open, by which names", function ()
      local path = place("libmany.so", assert(cc.shared("long one(void){return 1;}",
         "-Wl,-soname,libmany.so.4")))
      local user = place("user.so", assert(cc.shared(
         "extern long one(void); long two(void) { return one(); }")))
      local p = assert(runtime:open(path, { global = true }))
      assert(runtime:open(path))
      assert(runtime:open(scratch .. "/./libmany.so"))
      assert(runtime:open(user))
      local why = p:why()
      assert.equal(3, why.handles)
      assert.same({ { path = user } }, why.dependents)
      table.sort(why.names)
      assert.same({ scratch .. "/./libmany.so", "libmany.so.4" }, why.names)
      assert.is_not_nil(why.message:find(
         user .. " is bound to it, though it does not need it", 1, true))
   end)

   it("says that two need each other", function ()
      local paths = fixtures.group {
         a = { source = "long a(void) { return 1; }", needs = { "b" } },
         b = { source = "long b(void) { return 1; }", needs = { "c" } },
         c = { source = "long c(void) { return 1; }", needs = { "a" } },
      }
      local p = assert(runtime:open(paths.a))
      assert.equal(("it needs %s, which needs %s, which needs it: of these %s is "
         .. "started first, before what it needs"):format(paths.b, paths.c,
         paths.c),
         p:why().circle)
      local alone = assert(runtime:open(assert(cc.shared "long x;")))
      assert.is_nil(alone:why().circle)
   end)

   it("has little to say of what glibc has mapped", function ()
      local c = assert(runtime:open "libc.so.6")
      assert.equal(1, c:why().handles)
      assert.equal("", elf.host:why().message)
   end)
end)

describe("plugin:bindings", function ()
   local ONE = "long twice(void) { return 1; } long only(void) { return 2; }"

   it("says whom an import is bound to and who else defines it", function ()
      local one = place("one.so", assert(cc.shared(ONE)))
      local two = place("two.so", assert(cc.shared "long twice(void) { return 9; }"))
      local user = place("user.so", needing([[
         extern long twice(void), only(void);
         extern long weak(void) __attribute__((weak));
         long f(void) { return twice() + only() + (weak ? weak() : 0); }]],
         { one, two }))
      local p = assert(runtime:open(user))
      local list = p:bindings "twice"
      assert.equal(1, #list)
      local binding = list[1]
      assert.equal("scope", binding.how)
      assert.equal(user, binding.wanter)
      assert.equal(one, binding.provider)
      assert.is_false(binding.host)
      assert.same({ two }, binding.others)
      assert.equal(("%s gets 'twice' from %s; not from %s, which defines it too, "
         .. "but not first in the scope"):format(user, one, two),
         binding.message)
      assert.equal(runtime.loaded[one]:lookup "twice".address, binding.address)
      assert.same({}, p:bindings "only"[1].others)
      local weak = p:bindings "weak"[1]
      assert.equal("nothing", weak.how)
      assert.is_nil(weak.provider)
      assert.same({}, p:bindings "nowhere")
      -- All of them, as the slots have them.
      local all = {}
      for _, each in ipairs(p:bindings()) do all[each.symbol] = each end
      assert.equal(one, all.only.provider)
      assert.same({}, all.twice.others)
   end)

   it("has versions, and tells its own and ours", function ()
      local path = assert(cc.shared([[
         #include <string.h>
         #include <dlfcn.h>
         #include <unistd.h>
         __attribute__((visibility("protected"))) long mine(void) { return 1; }
         long (*at)(void) = mine;
         __thread long local_ = 5;
         extern __thread int foreign __attribute__((weak));
         long f(const char *s) { return getppid() + local_ + mine(); }
         void *g(void) { return dlsym(0, "x"); } ]]))
      local p = assert(runtime:open(path))
      assert.equal("own", p:bindings "mine"[1].how)
      assert.equal("GLIBC_2.2.5", p:bindings "getppid"[1].version)
      assert.equal("GLIBC_2.2.5", p:bindings "getppid"[1].provided)
      assert.is_true(p:bindings "getppid"[1].host)
      assert.equal("loader", p:bindings "dlsym"[1].how)
      assert.equal("tls", p:bindings "local_"[1].kind)
      assert.is_nil(p:bindings "local_"[1].address)
   end)

   it("is where the plugin itself finds each, whatever chose it", function ()
      -- libc's qsort is a function, its strlen and memcpy are IFUNCs.
      local path = assert(cc.shared [[
         #include <stdint.h>
         extern void qsort(void), strlen(void), memcpy(void), dlsym(void);
         extern char **environ;
         extern int gone __attribute__((weak));
         extern void unknown(void), getpid(void), given(void);
         long own = 1;
         uintptr_t places(int i) {
            void *const all[] = { qsort, strlen, memcpy, dlsym, &environ, &gone,
               unknown, getpid, given, &own };
            return (uintptr_t)all[i];
         } ]])
      local made <close> = elf.runtime {
         resolve = function (import)
            if import.name == "unknown" then
               return function () end, "void unknown(void)"
            end
         end,
         intercept = { ["int getpid(void)"] = function () return 6 end },
      }
      assert(made:define("void given(void)", function () end))
      local p = assert(made:open(path))
      local at = p:lookup "places":as "uintptr_t (int)"
      for number, name in ipairs { "qsort", "strlen", "memcpy", "dlsym",
         "environ", "gone", "unknown", "getpid", "given", "own" } do
         for _, binding in ipairs(p:bindings(name)) do
            assert.equal(at(number - 1), binding.address or 0, name)
         end
         assert.is_true(#p:bindings(name) > 0, name)
      end
   end)

   it("tells what waits for its first call, and what it got then", function ()
      local one = place("one.so", assert(cc.shared(ONE)))
      local user = place("user.so", needing(
         "extern long only(void); long f(void) { return only(); }", { one },
         "-Wl,-z,lazy"))
      local p = assert(runtime:open(user, { lazy = true }))
      assert.equal("waiting", p:bindings "only"[1].how)
      assert.equal(2, p:lookup "f":as "long (void)"())
      local binding = p:bindings "only"[1]
      assert.equal("scope", binding.how)
      assert.equal(one, binding.provider)
      assert.equal(runtime.loaded[one]:lookup "only".address, binding.address)
   end)

   it("tells what the policy has put in its place", function ()
      local user = assert(cc.shared [[
         extern long unknown(void); extern int puts(const char *);
         long f(void) { return unknown() + puts("x"); } ]])
      local own <close> = elf.runtime {
         resolve = function (import)
            if import.name == "unknown" then
               return function () return 5 end, "long unknown(void)"
            end
         end,
         intercept = { ["int puts(const char *)"] = function () return 6 end },
      }
      local p = assert(own:open(user))
      assert.equal("resolved", p:bindings "unknown"[1].how)
      assert.equal("intercepted", p:bindings "puts"[1].how)
      assert.is_true(p:bindings "puts"[1].address ~= 0)
   end)

   it("is one list for all that is open", function ()
      local one = place("one.so", assert(cc.shared(ONE)))
      local paths = {}
      for _, name in ipairs { "a", "b" } do
         paths[#paths + 1] = place(name .. ".so", needing(
            "extern long only(void); long f(void) { return only(); }", { one }))
         assert(runtime:open(paths[#paths]))
      end
      local wanters = {}
      for at, binding in ipairs(runtime:bindings "only") do
         assert.equal(one, binding.provider)
         wanters[at] = binding.wanter
      end
      table.sort(wanters)
      assert.same(paths, wanters)
      assert.has_error(function () runtime:bindings() end,
         "bindings needs the name of a symbol; a string expected, got nil")
   end)

   it("are none while they are being looked up, and all for accept", function ()
      local counts = {}
      local asking = elf.runtime {
         resolve = function (what)
            counts[#counts + 1] = #what.wanter:bindings()
            return elf.host:lookup "getpid"
         end,
         accept = function (p) counts[#counts + 1] = #p:bindings() return true end,
      }
      local p = assert(asking:open(assert(cc.shared [[
         extern void missing_one(void);
         extern int getpid(void), getuid(void);
         void (*a)(void) = missing_one;
         int (*b)(void) = getpid, (*c)(void) = getuid;
      ]])))
      local all = #p:bindings()
      assert.is_true(all >= 3)
      assert.same({ 0, all }, counts)
      assert(asking:close())
   end)

   it("of calls that wait are none before the slots lead anywhere", function ()
      local before
      local lazily = elf.runtime { lazy = true, on = { mapped = function (event)
         before = before or event.plugin and #event.plugin:bindings()
      end } }
      local p = assert(lazily:open(assert(cc.shared(
         "extern int getpid(void); int f(void) { return getpid(); }",
         "-Wl,-z,lazy"))))
      assert.equal("waiting", p:bindings "getpid"[1].how)
      assert.equal(0, before)
      assert(lazily:close())
   end)

   it("and why leave nothing behind", function ()
      local p = assert(runtime:open(assert(cc.shared(
         "extern int puts(const char *); int f(void) { return puts(\"\"); }"))))
      assert.keeps_heap(function ()
         p:why()
         p:bindings()
         p:bindings "puts"
         collectgarbage()
      end)
   end)

   it("and why raise for a handle that is closed", function ()
      local p = assert(runtime:open(assert(cc.shared(
         "extern int puts(const char *); int f(void) { return puts(\"\"); }"))))
      p:close()
      assert.has_error(function () p:bindings() end)
      assert.has_error(function () p:why() end)
   end)
end)

describe("elf.whence", function ()
   it("says what lies at an address", function ()
      local path = assert(cc.shared "long before; long here(void) { return 1; }")
      local p = assert(runtime:open(path))
      local symbol = p:lookup "here"
      local where = elf.whence(symbol.address + 1)
      assert.same({ path = path, base = p.base, host = false, symbol = "here",
         offset = 1, size = symbol.size, address = symbol.address }, where)
      local c = elf.whence(elf.host:lookup "puts")
      assert.is_true(c.host)
      assert.is_nil((elf.whence(1)))
   end)
end)
