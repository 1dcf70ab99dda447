--- ld.so.cache: what ldconfig wrote, found as ld.so finds it. The caches are made
--- by ldconfig in roots of their own, and ld.so looks into them there.

local campaign = require "spec.support.campaign"
local searching = require "spec.support.searching"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"

local tree

before_each(function () tree = searching.tree():root() end)
after_each(function () tree:remove() end)

-- A library with a DT_SONAME, by which ldconfig knows it.
local function library (path, soname, flags)
   tree:copy(path, assert(cc.shared("int searched;",
      ("-Wl,-soname,'%s' %s"):format(soname, flags or ""))))
end

local function configure (format, ...)
   tree:write("etc/ld.so.conf", table.concat({ ... }, "\n") .. "\n")
   tree:inside("/sbin/ldconfig", "-X", "-i", "-c", format)
end

-- Both searches, inside the root.
local function same (name, ...)
   tree:copy("driver", searching.driver())
   local search = searching.run("/driver", { name, ... },
      { root = tree.path })
   local ours, theirs = searching.lists(search)
   assert.is_true(#theirs > 0)
   assert.same(theirs, ours)
   assert.equal(search.found == nil, search.dlerror ~= nil, search.dlerror)
   return search
end

local function both (name, env)
   tree:copy("driver", searching.driver())
   local search = searching.run("/driver", { name, "dlopen", name },
      { root = tree.path, env = env })
   local ours, theirs = searching.lists(search)
   assert.is_true(#theirs > 0)
   assert.same(theirs, ours)
   return search
end

describe("ld.so.cache", function ()
   for _, format in ipairs { "new", "compat" } do
      it("is read in the format '" .. format .. "'", function ()
         library("opt/one/libsearched.so.1", "libsearched.so.1")
         library("opt/two/libsearched.so.1", "libsearched.so.1")
         library("opt/two/libother.so.1", "libother.so.1")
         configure(format, "/opt/one", "/opt/two")
         assert.equal("/opt/one/libsearched.so.1",
            both "libsearched.so.1".found)
         assert.equal("/opt/two/libother.so.1", both "libother.so.1".found)
         assert.equal("notfound", both "libother.so.2".failed)
      end)
   end

   it("is of no use in the oldest format alone, to ld.so neither", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      configure("old", "/opt/one")
      both "libsearched.so.1"
   end)

   it("is found in whatever way names with numbers are sorted", function ()
      local names = {}
      for _, name in ipairs {
         "libx.so.1", "libx.so.2", "libx.so.10", "libx.so.9", "libx.so",
         "libx1.so.1", "libx10.so.1", "libx9.so.1", "libx-2.so.1",
         "libx-2.10.so.1", "libx-2.9.so.1", "lib10x.so.1", "lib9x.so.1",
         "libX.so.1", "libxx.so.1", "libx.so.1.2.3", "libx.so.1.10",
         "libx.so.007", "libx_y.so.0", "libx+y.so.0", "liby.so.4294967297",
      } do
         library("opt/one/" .. name, name)
         names[#names + 1] = name
      end
      configure("new", "/opt/one")
      for _, name in ipairs(names) do
         assert.equal("/opt/one/" .. name, both(name).found)
      end
      for _, name in ipairs { "libx.so.3", "libx.so.7", "libx2.so.1", "libx.so." } do
         both(name)
      end
   end)

   it("prefers the best folder for the processor", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      for _, level in ipairs { "x86-64-v2", "x86-64-v3", "x86-64-v4", "other" } do
         library(("opt/one/glibc-hwcaps/%s/libsearched.so.1"):format(level),
            "libsearched.so.1")
         configure("new", "/opt/one")
         both "libsearched.so.1"
      end
      for _, hwcaps in ipairs {
         "-AVX512F_Usable,-AVX512F", "-AVX2_Usable,-AVX2", "-SSE4_2,-SSSE3",
      } do
         both("libsearched.so.1", { GLIBC_TUNABLES = "glibc.cpu.hwcaps="
            .. hwcaps })
      end
   end)

   it("prefers what ldconfig found in older folders", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      for _, name in ipairs {
         "tls", "x86_64", "haswell", "xeon_phi", "avx512_1", "tls/x86_64",
         "tls/haswell/x86_64",
      } do
         library(("opt/one/%s/libsearched.so.1"):format(name),
            "libsearched.so.1")
         configure("new", "/opt/one")
         both "libsearched.so.1"
         both("libsearched.so.1", { LD_HWCAP_MASK = "0" })
      end
   end)

   it("passes over files that the processor is not enough for", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      for level, flag in pairs {
         ["x86-64-v2"] = "-Wl,-z,x86-64-v2", ["x86-64-v3"] = "-Wl,-z,x86-64-v3",
         ["x86-64-v4"] = "-Wl,-z,x86-64-v4",
      } do
         library(("opt/one/glibc-hwcaps/%s/libsearched.so.1"):format(level),
            "libsearched.so.1", flag)
      end
      configure("new", "/opt/one")
      both "libsearched.so.1"
      -- No processor has level 9.
      local path = tree:at "etc/ld.so.cache"
      local text = disk.contents(path)
      local changed = 0
      for at = 49, 48 + 24 * string.unpack("<I4", text, 21), 24 do
         local hwcap = string.unpack("<I8", text, at + 16)
         if hwcap & 1 << 62 ~= 0 then
            changed = changed + 1
            text = text:sub(1, at + 15)
               .. string.pack("<I8", hwcap & ~(0x3ff << 32) | 9 << 32)
               .. text:sub(at + 24)
            disk.write(path, text)
            both "libsearched.so.1"
         end
      end
      assert.equal(3, changed)
      assert.equal("/opt/one/libsearched.so.1", both "libsearched.so.1".found)
   end)

   it("passes over libraries of other kinds", function ()
      local scratch = tree:at "scratch/x"
      searching.shell("echo | as --32 -o %s - && mkdir -p %s && "
         .. "ld -m elf_i386 -shared -soname libsearched.so.1 -o %s %s",
         scratch, tree:at "opt/small", tree:at "opt/small/libsearched.so.1",
         scratch)
      library("opt/two/libsearched.so.1", "libsearched.so.1")
      configure("compat", "/opt/small", "/opt/two")
      assert.equal("/opt/two/libsearched.so.1", both "libsearched.so.1".found)
      configure("compat", "/opt/small")
      assert.equal("notfound", both "libsearched.so.1".failed)
   end)

   it("is passed over where it names a file that is not there", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      configure("new", "/opt/one")
      searching.shell("rm %s", tree:at "opt/one/libsearched.so.1")
      local search = both "libsearched.so.1"
      assert.equal("notfound", search.failed)
      assert.is_not_nil(search.message:find(
         "not at /opt/one/libsearched.so.1 where the cache has it", 1, true))
      library("usr/lib/libsearched.so.1", "libsearched.so.1")
      assert.equal("/usr/lib/libsearched.so.1", both "libsearched.so.1".found)
   end)

   it("counts for nothing under DF_1_NODEFLIB where it names ld.so's own "
      .. "folders", function ()
      library("usr/lib/deep/libdeep.so.1", "libdeep.so.1")
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      configure("new", "/usr/lib/deep", "/opt/one")
      for _, name in ipairs { "libdeep.so.1", "libsearched.so.1" } do
         local stub = assert(cc.shared("int searched;", "-Wl,-soname," .. name))
         tree:copy("plugin.so", assert(cc.shared("int wants;",
            ("-nostdlib -Wl,-z,nodefaultlib -Wl,--no-as-needed '%s'"):format(
               stub))))
         local search = same(name, "wanter", "/plugin.so", "nodeflib", "dlopen",
            "/plugin.so")
         assert.equal(name == "libdeep.so.1", search.found == nil)
      end
   end)

   it("is read again when it has changed", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      library("opt/two/libsearched.so.1", "libsearched.so.1")
      configure("new", "/opt/two")
      searching.shell("mv %s %s", tree:at "etc/ld.so.cache", tree:at "etc/new")
      configure("new", "/opt/one")
      local search = same("libsearched.so.1", "cache", "/etc/new", "dlopen",
         "libsearched.so.1")
      assert.equal("/opt/two/libsearched.so.1", search.found)
   end)

   it("may be missing, empty or nonsense", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      library("usr/lib/libsearched.so.1", "libsearched.so.1")
      configure("new", "/opt/one")
      local good = disk.contents(tree:at "etc/ld.so.cache")
      for _, text in ipairs {
         "", "x", ("nonsense "):rep(100), good:sub(1, 47), good:sub(1, 48),
         -- More entries than there are bytes.
         good:sub(1, 20) .. "\255\255\255\255" .. good:sub(25),
         -- Of the other byte order, or said to be invalid.
         good:sub(1, 28) .. "\3" .. good:sub(30),
         good:sub(1, 28) .. "\1" .. good:sub(30),
      } do
         tree:write("etc/ld.so.cache", text)
         assert.equal("/usr/lib/libsearched.so.1",
            both "libsearched.so.1".found)
      end
      -- Without its extensions it is as good as before.
      tree:write("etc/ld.so.cache", good:sub(1, 32) .. "\0\0\0\0" .. good:sub(37))
      assert.equal("/opt/one/libsearched.so.1", both "libsearched.so.1".found)
      searching.shell("rm %s", tree:at "etc/ld.so.cache")
      assert.equal("/usr/lib/libsearched.so.1", both "libsearched.so.1".found)
      searching.shell("mkdir %s", tree:at "etc/ld.so.cache")
      assert.equal("/usr/lib/libsearched.so.1", both "libsearched.so.1".found)
   end)

   it("is read without harm whatever is in it", function ()
      library("opt/one/libsearched.so.1", "libsearched.so.1")
      for _, name in ipairs { "libx.so.1", "libx.so.2", "libx10.so", "libz.so" } do
         library("opt/one/" .. name, name)
      end
      library("opt/one/glibc-hwcaps/x86-64-v2/libsearched.so.1",
         "libsearched.so.1")
      library("opt/one/glibc-hwcaps/x86-64-v3/libsearched.so.1",
         "libsearched.so.1")
      local program = campaign.program({ "spec/fuzz/cache.c",
         "spec/fuzz/target.h", "spec/fuzz/replay.c", "src/elf/cache.c",
         "src/elf/cache.h", "src/elf/view.h" },
         "-fsanitize=address,undefined -fno-sanitize-recover=undefined")
      for number, format in ipairs { "new", "compat", "old" } do
         configure(format, "/opt/one")
         local result = child.run({ program, "--mutants", "4000",
            tostring(number), tree:at "etc/ld.so.cache" }, { bare = true })
         assert.equal(0, result.code, child.describe(result) .. result.err)
         assert.is_true(tonumber(result.out) > 4000)
      end
   end)
end)
