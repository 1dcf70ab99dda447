-- The host: what glibc has mapped is used as it is, never mapped a second time,
-- and left as it was.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local compare = require "spec.support.compare"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local resources = require "spec.support.resources"
local elf = require "elf64load"

-- What must always be glibc's, by base name.
local FAMILY = { "ld-linux", "libc", "libm", "libdl", "libpthread", "librt",
   "libresolv", "libnss_", "libanl", "libutil", "libmvec",
   "libthread_db", "libgcc_s", "libstdc++" }

local function is_family (path)
   local name = path:match "[^/]*$"
   for _, stem in ipairs(FAMILY) do
      -- libc.so.6, libc-2.31.so, libnss_files.so.2, but not libcrypto.so.3.
      if name == "libnsl.so.1" or name:sub(1, #stem) == stem and (stem:sub(-1) == "_"
            or name:find("^[.%-]", #stem + 1)) then
         return true
      end
   end
   return false
end

-- Tiny files of the loader's own, by which glibc places thread-local storage.
local function is_anchor (path)
   if not path:find "^/proc/self/fd/+%d+$" then return false end
   for line in io.lines "/proc/self/maps" do
      if line:find("/memfd:elf64load-anchor", 1, true) then return true end
   end
   return false
end

-- What glibc has in `after` and had not in `before`.
local function added (before, after)
   local known, out = {}, {}
   for _, name in ipairs(before) do known[name] = true end
   for _, name in ipairs(after) do
      if not known[name] then out[#out + 1] = name end
   end
   return out
end

local provider = assert(cc.shared [[
   static long count;
   long thing(void) { return 77; }
   long next(void) { return ++count; }
   __thread long in_thread = 3;
]])
local user = assert(cc.shared
   "extern long thing(void); long ask(void) { return thing(); }")
local needing = assert(cc.shared(
   "extern long thing(void); long ask(void) { return thing(); }",
   "-Wl,--no-as-needed " .. provider))

describe("glibc's list of what it has mapped", function ()
   local group = fixtures.group {
      a = { needs = { "b" }, source = "long a;" },
      b = { needs = { "a" }, source = "long b;" },
   }
   local opens = {
      plain = provider, ["with a dependency"] = needing, ["in a circle"] = group.a,
      ["with libm"] = assert(cc.shared(
         "double cos(double); double f(double x) { return cos(x); }",
         "-Wl,--no-as-needed -lm")),
      ["with libstdc++"] = assert(cc.shared([[
         #include <string>
         #include <vector>
         extern "C" long f() { std::vector<std::string> v(3, "x");
            return v.size(); } ]], { language = "c++" })),
      libz = "libz.so.1", libsqlite3 = "libsqlite3.so.0",
      libssl = "libssl.so.3",
      ["that fails"] = user, ["that is not there"] = "/no/such.so",
   }

   for title, path in pairs(opens) do
      it(("gets nothing from an open %s but host family and anchors"):format(title),
         function ()
            local before = resources.modules()
            local p = elf.open(path)
            for _, name in ipairs(added(before, resources.modules())) do
               assert.truthy(is_family(name) or is_anchor(name), name)
            end
            if p then
               assert.not_equal("host", p.state)
               p:close()
            end
            -- The family stays; a second time nothing changes at all.
            before = resources.modules()
            p = elf.open(path)
            assert.same(before, resources.modules())
            if p then p:close() end
            assert.same(before, resources.modules())
         end)
   end
end)

describe("libnsl", function ()
   local source = "long version(void) { return VERSION; }"

   for version, state in ipairs { "host", "started" } do
      local name = "libnsl.so." .. version
      it(("of glibc, or its successor that is no part of it: %s is %s"):format(
         name, version == 1 and "glibc's" or "a plugin"), function ()
         local path = assert(cc.shared(source,
            ("-DVERSION=%d -Wl,-soname,%s"):format(version, name)))
         local result = child.lua([[
            local elf = require "elf64load"
            local p = assert(elf.open(arg[1]))
            print(p.state, p:cdef "long version(void);".version())
         ]], { path })
         assert.equal(("%s\t%d\n"):format(state, version), result.out,
            result.err)
      end)
   end
end)

describe("What the host has mapped", function ()
   it("is opened as the host's: by path, by a link, by DT_SONAME", function ()
      assert.like_ldso({ "host " .. provider, "open a " .. provider,
         "call a next", "open b " .. provider:gsub("/fixtures/", "/fixtures/./"),
         "call b next", "call a thing", "close a", "close b" },
         { "next() = 1\nopen b: ok\nnext() = 2" })
      local result = child.lua([[
         local elf = require "elf64load"
         package.loadlib(arg[1], "*")
         local p = assert(elf.open(arg[1]))
         local count = 0
         for line in io.lines "/proc/self/maps" do
            if line:find(arg[1], 1, true) and line:find " r%-xp " then
               count = count + 1
            end
         end
         print(p.state, count, p.path == arg[1])
      ]], { provider })
      assert.equal("host\t1\ttrue\n", result.out, result.err)
   end)

   it("serves what needs it, also when it is local", function ()
      assert.like_ldso({ "host " .. provider, "open a " .. needing,
         "call a ask" }, { "ask() = 77" })
      local result = child.lua([[
         local elf = require "elf64load"
         package.loadlib(arg[1], "none")
         local p = assert(elf.open(arg[2]))
         print(p:cdef "long ask(void);".ask(), elf.whence(
            p:lookup "thing").host)
      ]], { provider, needing })
      assert.equal("77\ttrue\n", result.out, result.err)
   end)

   it("by a name that it has another path for is found by that name", function ()
      local result = child.lua [[
         local elf = require "elf64load"
         package.loadlib("libz.so.1", "*")
         print(elf.open "libz.so.1".state, elf.open "libc.so.6".state,
            elf.open "libm.so.6".state)
      ]]
      assert.equal("host\thost\thost\n", result.out, result.err)
   end)

   it("of the family is glibc's even when it was not there before", function ()
      local result = child.lua [[
         local elf = require "elf64load"
         local resources = require "spec.support.resources"
         local function has (name)
            for _, path in ipairs(resources.modules()) do
               if path:find(name, 1, true) then return true end
            end
            return false
         end
         print(has "libresolv.so.2", elf.open "libresolv.so.2".state,
            has "libresolv.so.2")
         print(elf.open "/lib/x86_64-linux-gnu/libanl.so.1".state,
            has "libanl.so.1")
      ]]
      assert.equal("false\thost\ttrue\nhost\ttrue\n", result.out, result.err)
   end)

   it("of the family is not run from another file of that name", function ()
      local function file (soname)
         return assert(cc.shared([[
            #include <stdio.h>
            __attribute__((constructor)) static void start(void)
            {
                puts("it ran");
            }
         ]], "-Wl,-soname," .. soname))
      end
      local result = child.lua([[
         local elf = require "elf64load"
         -- Here already: that one it is.
         for _, start in ipairs { true, false } do
            local p = assert(elf.open(arg[1], { start = start }))
            print(p.path:match "[^/]*$", p.state)
         end
         -- Not here: glibc would start it.
         print((select(2, elf.open(arg[2], { start = false }))
            :match "libresolv.so.2 by its DT_SONAME.*would start it"))
      ]], { file "libm.so.6", file "libresolv.so.2" })
      assert.equal(0, result.code, result.err)
      assert.equal(("libm.so.6\thost\n"):rep(2) .. "libresolv.so.2 by its "
         .. "DT_SONAME, which belongs to the host family: only glibc may open "
         .. "it, and would start it\n", result.out)
   end)

   it("answers lookups with what it needs, too", function ()
      assert.like_ldso({ "host " .. needing, "open a " .. needing,
         "call a ask", "call a thing", "has a no_such_name" },
         { "thing() = 77", "has no_such_name: no" })
   end)

   it("and opened local is not seen by others", function ()
      assert.like_ldso({ "host " .. provider, "open u " .. user },
         { "open u: failed" }, { kind = "undefined" })
   end)

   it("and opened global is seen by what is opened later", function ()
      assert.like_ldso({ "host " .. provider .. " global", "open u " .. user,
         "call u ask" }, { "ask() = 77" })
      -- Also when opens came before it.
      assert.like_ldso({ "open x " .. assert(cc.shared "long x;"),
         "host " .. provider .. " global", "open u " .. user, "call u ask" },
         { "ask() = 77" })
   end)

   it("and made global after it was local is seen from then on", function ()
      assert.like_ldso({ "host " .. provider, "open u " .. user,
         "host " .. provider .. " global", "open u " .. user, "call u ask" },
         { "open u: failed\nhost: ok\nopen u: ok\nask() = 77" })
   end)

   it("comes before a plugin that was opened global", function ()
      local other = assert(cc.shared "long thing(void) { return 78; }")
      assert.like_ldso({ "host " .. provider .. " global",
         "open p " .. other .. " global", "open u " .. user, "call u ask" },
         { "ask() = 77" })
   end)

   it("defines nothing that only the vdso defines", function ()
      local path = assert(cc.shared [[
         extern long __vdso_clock_gettime(void) __attribute__((weak));
         long ask(void) { return __vdso_clock_gettime != 0; }
      ]])
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 0" })
   end)

   it("is not written to, nor its protections changed", function ()
      local function modes ()
         local out = {}
         for _, line in ipairs(resources.mappings()) do
            if line:find("libc.so.6", 1, true) or line:find("ld%-linux") then
               out[#out + 1] = line
            end
         end
         return out
      end
      local before = modes()
      local p <close> = assert(elf.open(needing))
      assert.same(before, modes())
      assert.truthy(p)
   end)
end)

describe("Interposers", function ()
   it("that LD_PRELOAD brought in serve plugins", function ()
      local path = assert(cc.shared([[
         extern long getppid(void);
         long ask(void) { return getppid(); }
         long (*volatile kept)(void) = getppid;
         long by_pointer(void) { return kept(); }
      ]]))
      assert.like_ldso({ "open a " .. path, "call a ask", "call a by_pointer" },
         { "ask() = 4242", "by_pointer() = 4242" },
         { preload = assert(cc.shared "long getppid(void) { return 4242; }") })
   end)

   it("win over what libc has in several versions, or as an IFUNC", function ()
      local path = assert(cc.shared([[
         extern long nftw(void), wmemset(void);
         long ask(void) { return nftw() * 100 + wmemset(); }
      ]], "-fno-builtin"))
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 7788" },
         { preload = assert(cc.shared([[
            long nftw(void) { return 77; }
            long wmemset(void) { return 88; }
         ]], "-fno-builtin")) })
   end)
end)

describe("The executable", function ()
   local EXPORTS = [[
      long from_host(void) { return 31; }
      long host_value = 32;
      long thing(void) { return 33; }
   ]]

   it("serves plugins with what it exports, before all others", function ()
      local options = { program = compare.harness(EXPORTS, "-Wl,-E"),
         host = compare.host(EXPORTS) }
      local path = assert(cc.shared([[
         extern long from_host(void), host_value, thing(void);
         long ask(void) { return from_host() + host_value; }
         long ask_thing(void) { return thing(); }
      ]], "-Wl,--no-as-needed " .. provider))
      assert.like_ldso({ "open a " .. path, "call a ask",
         "call a ask_thing" }, { "ask() = 63", "ask_thing() = 33" }, options)
   end)

   it("owns what it has a copy relocation for (R_X86_64_COPY)", function ()
      local library = assert(cc.shared [[
         long shared = 5;
         long get(void) { return shared; }
      ]])
      -- Not relocatable, so that its reference must become a copy.
      local extra = [[
         extern long shared, get(void);
         long *kept = &shared;
         __attribute__((constructor)) static void change(void)
         { shared = get() + 6; }
      ]]
      local flags = "-no-pie -fno-pic " .. library
      local program = compare.harness(extra, flags)
      local found = false
      for _, relocation in ipairs(elfedit.read(program):relocations()) do
         found = found or relocation.r_type == elfedit.R_X86_64_COPY
      end
      assert.truthy(found)
      local path = assert(cc.shared([[
         extern long shared, get(void);
         long *volatile pointer = &shared;
         long ask(void) { return shared * 10000 + get() * 100 + *pointer; }
         long set(long x) { shared = x; return get(); }
      ]], "-Wl,--no-as-needed " .. library))
      assert.like_ldso({ "open a " .. path, "call a ask", "call a set 7",
         "open l " .. library, "value l shared" },
         { "ask() = 111111", "set() = 7" },
         { program = program, host = compare.host(extra, flags) })
   end)

   it("is the owner of each of its copies in this very host", function ()
      local exe = elfedit.read(child.host)
      local count = 0
      local address = {}
      for _, relocation in ipairs(exe:relocations()) do
         if relocation.r_type == elfedit.R_X86_64_COPY then
            local symbol = exe:symbols()[relocation.r_sym + 1]
            address[exe:string(symbol.st_name)] = relocation.r_offset
         end
      end
      for name, offset in pairs(address) do
         count = count + 1
         local path = assert(cc.shared(([[
            extern char %s[];
            long where(void) { return (long)%s; }
         ]]):format(name, name)))
         local p <close> = assert(elf.open(path))
         local place = assert(elf.whence(
            p:cdef "long where(void);".where()))
         assert.equal(child.host, place.path)
         assert.equal(place.base + offset, p:cdef "long where(void);".where())
      end
      assert.truthy(count > 0)
   end)

   it("gives the address of a function that it calls through its PLT", function ()
      -- An undefined symbol with a value (psABI, "Function Addresses").
      local library = assert(cc.shared "long thing(void) { return 77; }")
      local extra = [[
         extern long thing(void);
         long same(long other) { return other == (long)thing; }
      ]]
      local flags = "-no-pie -fno-pic -Wl,-E -Wl,-z,lazy " .. library
      local program = compare.harness(extra, flags)
      local symbol = elfedit.read(program):symbol "thing"
      assert.equal(0, symbol.st_shndx)
      assert.truthy(symbol.st_value ~= 0)
      local path = assert(cc.shared([[
         extern long thing(void), same(long);
         long (*volatile kept)(void) = thing;
         long equal(void) { return same((long)kept); }
         long ask(void) { return thing(); }
      ]], "-Wl,--no-as-needed " .. library))
      assert.like_ldso({ "open a " .. path, "call a equal", "call a ask" },
         { "equal() = 1", "ask() = 77" },
         { program = program, host = compare.host(extra, flags) })
   end)
end)

describe("A host library that a plugin is bound to", function ()
   local function run (body, ...)
      local result = child.lua([[
         local elf = require "elf64load"
         local host = assert(package.loadlib(arg[1], "luaopen_dlopen"))()
         local function mapped (path)
            for line in io.lines "/proc/self/maps" do
               if line:find(path, 1, true) then return true end
            end
            return false
         end
      ]] .. body, { compare.dlopen(), ... })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   it("stays while it is bound to, whatever the host closes", function ()
      assert.equal("77\ttrue\nfalse\n", run([[
         local library = host.load(arg[2], true)
         local p = assert(elf.open(arg[3]))
         local C = p:cdef "long ask(void);"
         host.unload(library)
         print(C.ask(), mapped(arg[2]))
         p:close()
         print(mapped(arg[2]))
      ]], provider, user))
   end)

   it("stays while a handle on it is open", function ()
      assert.equal("true\t77\nfalse\n", run([[
         local library = host.load(arg[2], false)
         local p = assert(elf.open(arg[2]))
         host.unload(library)
         print(mapped(arg[2]), p:cdef "long thing(void);".thing())
         p:close()
         print(mapped(arg[2]))
      ]], provider))
   end)

   it("that is gone is not seen by later opens", function ()
      assert.equal("true\tnil\tundefined\n", run([[
         local library = host.load(arg[2], true)
         local p = assert(elf.open(arg[3]))
         p:close()
         host.unload(library)
         local q, _, kind = elf.open(arg[3])
         print(not mapped(arg[2]), q, kind)
      ]], provider, user))
   end)
end)
