--- Where a plugin comes from: the files that we try, beside those that ld.so
--- tries for the same name in the same process.

local cc = require "elf64load.cc"
local searching = require "spec.support.searching"

local OLD_TAGS = "-Wl,--disable-new-dtags"
local NEW_TAGS = "-Wl,--enable-new-dtags"

local tree

before_each(function () tree = searching.tree() end)
after_each(function () tree:remove() end)

-- Links the driver with a list of folders and puts it into the tree, because
-- $ORIGIN is where it is.
local function program (name, tags, list, more)
   local flags = list and ("%s -Wl,-rpath,'%s'"):format(tags, list) or ""
   return tree:program(name, flags .. (more or ""))
end

-- A plugin that needs a library of that name and has a list of folders.
local function plugin (name, needed, tags, list, more)
   local stub = assert(cc.shared("int searched;", ("-Wl,-soname,'%s'"):format(needed)))
   local flags = ("-Wl,--no-as-needed '%s' "):format(stub)
   if list then flags = flags .. ("%s -Wl,-rpath,'%s'"):format(tags, list) end
   return tree:copy(name, assert(cc.shared("int wants;", flags .. (more or ""))))
end

local same = searching.same

describe("A search on behalf of the program", function ()
   it("goes through ld.so's own folders when nothing else is said", function ()
      local search = same(searching.driver(),
         { "libnowhere.so", "dlopen", "libnowhere.so" })
      assert.equal("notfound", search.failed)
      assert.is_true(#search.tried > 4)
   end)

   it("finds in ld.so.cache what ldconfig has found", function ()
      local search = same(searching.driver(),
         { "libz.so.1", "dlopen", "libz.so.1" })
      assert.is_not_nil(search.found)
      assert.equal(1, #search.tried)
   end)

   it("takes LD_LIBRARY_PATH apart as ld.so does", function ()
      tree:at "one/x"
      local found = tree:library "two/libsearched.so"
      tree:library "three/libsearched.so"
      local list = tree:within "%/one//:%/missing;%/one:%/two/:%/three"
      local search = same(searching.driver(),
         { "libsearched.so", "dlopen", "libsearched.so" },
         { env = { LD_LIBRARY_PATH = list } })
      assert.equal(found, search.found)
   end)

   it("takes empty and relative folders from where the program is", function ()
      tree:library "here/libsearched.so"
      tree:at "here/sub/x"
      for list, path in pairs {
         ["sub:"] = "libsearched.so", [":sub"] = "libsearched.so",
         ["../here"] = "../here/libsearched.so", ["./"] = "./libsearched.so",
      } do
         local search = same(searching.driver(), { "libsearched.so", "cd",
            tree.path .. "/here", "dlopen", "libsearched.so" },
            { env = { LD_LIBRARY_PATH = list } })
         assert.equal(path, search.found)
      end
   end)

   it("goes by LD_LIBRARY_PATH as it was at process start", function ()
      tree:library "late/libsearched.so"
      local search = same(searching.driver(), { "libsearched.so", "setenv",
         "LD_LIBRARY_PATH", tree.path .. "/late", "dlopen", "libsearched.so" })
      assert.equal("notfound", search.failed)
      search = same(searching.driver(), { "libsearched.so", "setenv",
         "LD_LIBRARY_PATH", "/elsewhere", "dlopen", "libsearched.so" },
         { env = { LD_LIBRARY_PATH = tree.path .. "/late" } })
      assert.is_not_nil(search.found)
   end)

   it("tries the program's DT_RPATH before LD_LIBRARY_PATH", function ()
      tree:library "rpath/libsearched.so"
      tree:library "environment/libsearched.so"
      local driver = program("driver", OLD_TAGS, "$ORIGIN/rpath:/nowhere")
      local search = same(driver, { "libsearched.so", "dlopen",
         "libsearched.so" },
         { env = { LD_LIBRARY_PATH = tree.path .. "/environment" } })
      assert.equal(tree.path .. "/rpath/libsearched.so", search.found)
   end)

   it("tries the program's DT_RUNPATH after LD_LIBRARY_PATH", function ()
      tree:library "runpath/libsearched.so"
      tree:library "environment/libsearched.so"
      local driver = program("driver", NEW_TAGS, "$ORIGIN/runpath")
      local words = { "libsearched.so", "dlopen", "libsearched.so" }
      local search = same(driver, words,
         { env = { LD_LIBRARY_PATH = tree.path .. "/environment" } })
      assert.equal(tree.path .. "/environment/libsearched.so", search.found)
      search = same(driver, words,
         { env = { LD_LIBRARY_PATH = "/nowhere" } })
      assert.equal(tree.path .. "/runpath/libsearched.so", search.found)
   end)

   it("has the program's lists also when it is no PIE", function ()
      tree:library "rpath/libsearched.so"
      for _, tags in ipairs { OLD_TAGS, NEW_TAGS } do
         local driver = program("driver", tags, "$ORIGIN/rpath", " -no-pie")
         local search = same(driver,
            { "libsearched.so", "dlopen", "libsearched.so" })
         assert.equal(tree.path .. "/rpath/libsearched.so", search.found)
      end
   end)

   it("leaves the cache and ld.so's folders out with DF_1_NODEFLIB", function ()
      local driver = program("driver", NEW_TAGS, "$ORIGIN/own",
         " -Wl,-z,nodefaultlib -Wl,-rpath,'$ORIGIN/libc'")
      -- It could not start without.
      tree:copy("libc/libc.so.6", searching.libc())
      tree:library "own/libsearched.so"
      assert.is_not_nil(same(driver,
         { "libsearched.so", "dlopen", "libsearched.so" }).found)
      local search = same(driver, { "libsqlite3.so.0", "dlopen",
         "libsqlite3.so.0" })
      assert.equal("notfound", search.failed)
   end)

   it("looks for lib?.so when the program asks for a bare name", function ()
      tree:library "lib/libsearched.so"
      local env = { LD_LIBRARY_PATH = tree.path .. "/lib" }
      local search = searching.run(searching.driver(), { "searched" },
         { env = env })
      assert.equal(tree.path .. "/lib/libsearched.so", search.found)
      -- The name itself comes first, everywhere.
      tree:library "lib/searched"
      search = searching.run(searching.driver(), { "searched" }, { env = env })
      assert.equal(tree.path .. "/lib/searched", search.found)
   end)

   it("does not look for lib?.so on behalf of a plugin", function ()
      tree:library "lib/libsearched.so"
      local search = searching.run(searching.driver(),
         { "searched", "wanter", "/x/plugin.so" },
         { env = { LD_LIBRARY_PATH = tree.path .. "/lib" } })
      assert.equal("notfound", search.failed)
   end)
end)

describe("A search on behalf of a plugin", function ()
   -- The plugin's needs are looked for by ld.so when it is opened.
   local function wanted (driver, path, words, conditions)
      local all = { "libsearched.so", "wanter", path }
      for _, word in ipairs(words) do all[#all + 1] = word end
      all[#all + 1] = "dlopen"
      all[#all + 1] = path
      return same(driver, all, conditions)
   end

   it("uses its DT_RUNPATH after LD_LIBRARY_PATH", function ()
      local path = plugin("p/plugin.so", "libsearched.so", NEW_TAGS,
         "$ORIGIN/../one:$ORIGIN/../two")
      tree:library "two/libsearched.so"
      tree:at "environment/x"
      local search = wanted(searching.driver(), path,
         { "runpath", "$ORIGIN/../one:$ORIGIN/../two" },
         { env = { LD_LIBRARY_PATH = tree.path .. "/environment" } })
      assert.equal(tree.path .. "/p/../two/libsearched.so", search.found)
   end)

   it("uses its DT_RPATH, then the program's, before LD_LIBRARY_PATH", function ()
      local path = plugin("p/plugin.so", "libsearched.so", OLD_TAGS,
         "$ORIGIN/own")
      tree:library "environment/libsearched.so"
      tree:at "p/own/x"
      tree:at "programs/x"
      local driver = program("driver", OLD_TAGS, "$ORIGIN/programs")
      local search = wanted(driver, path, { "rpath", "$ORIGIN/own" },
         { env = { LD_LIBRARY_PATH = tree.path .. "/environment" } })
      assert.equal(tree.path .. "/environment/libsearched.so", search.found)
      assert.is_not_nil(search.message or search.found)
   end)

   it("uses no DT_RPATH at all when it has a DT_RUNPATH", function ()
      local path = plugin("p/plugin.so", "libsearched.so", NEW_TAGS, "/nowhere")
      tree:library "programs/libsearched.so"
      local driver = program("driver", OLD_TAGS, "$ORIGIN/programs")
      local search = wanted(driver, path, { "runpath", "/nowhere" })
      assert.equal("notfound", search.failed)
   end)

   it("does not use the DT_RUNPATH of the program", function ()
      local path = plugin("p/plugin.so", "libsearched.so")
      tree:library "programs/libsearched.so"
      local driver = program("driver", NEW_TAGS, "$ORIGIN/programs")
      local search = wanted(driver, path, {})
      assert.equal("notfound", search.failed)
   end)

   it("uses the DT_RPATH of what it was loaded for, up to the root", function ()
      local inner = plugin("inner/libinner.so", "libsearched.so", OLD_TAGS,
         "$ORIGIN/own")
      local outer = tree:copy("outer/plugin.so", assert(cc.shared("int outer;",
         ("-Wl,--no-as-needed '%s' %s -Wl,-rpath,'$ORIGIN/own'"):format(inner,
            OLD_TAGS))))
      tree:at "inner/own/x"
      tree:library "outer/own/libsearched.so"
      local search = same(searching.driver(), { "libsearched.so",
         "wanter", inner, "rpath", "$ORIGIN/own",
         "loader", outer, "rpath", "$ORIGIN/own",
         "dlopen", outer })
      assert.equal(tree.path .. "/outer/own/libsearched.so", search.found)
   end)

   it("passes over loaders that have a DT_RUNPATH", function ()
      local inner = plugin("inner/libinner.so", "libsearched.so")
      local outer = tree:copy("outer/plugin.so", assert(cc.shared("int outer;",
         ("-Wl,--no-as-needed '%s' %s -Wl,-rpath,'$ORIGIN/own'"):format(inner,
            NEW_TAGS))))
      tree:library "outer/own/libsearched.so"
      local search = same(searching.driver(), { "libsearched.so",
         "wanter", inner, "loader", outer, "runpath", "$ORIGIN/own",
         -- Where there is a DT_RUNPATH, a DT_RPATH counts for nothing.
         "rpath", "$ORIGIN/own", "dlopen", outer })
      assert.equal("notfound", search.failed)
   end)

   it("leaves the cache's and ld.so's folders out with DF_1_NODEFLIB", function ()
      local stub = "libsqlite3.so.0"
      local path = plugin("p/plugin.so", stub, NEW_TAGS, "$ORIGIN/own",
         " -nostdlib -Wl,-z,nodefaultlib")
      local search = same(searching.driver(), { stub, "wanter", path,
         "runpath", "$ORIGIN/own", "nodeflib", "dlopen", path })
      assert.equal("notfound", search.failed)
      assert.equal("denied", search.kinds[search.tried[#search.tried]])
      assert.is_not_nil(search.message:find("DF_1_NODEFLIB", 1, true))
   end)

   it("takes the folder of a plugin that has a relative path", function ()
      tree:library "one/libsearched.so"
      local path = plugin("here/plugin.so", "libsearched.so", NEW_TAGS,
         "$ORIGIN/../one")
      local search = same(searching.driver(), { "libsearched.so",
         "wanter", "./plugin.so", "runpath", "$ORIGIN/../one",
         "cd", path:match "^(.*)/", "dlopen", "./plugin.so" })
      assert.is_not_nil(search.found)
   end)

   it("leaves $ORIGIN out when the plugin has no file", function ()
      local search = searching.run(searching.driver(), { "libsearched.so",
         "wanter", "", "runpath", "$ORIGIN/own:/elsewhere", "in", "3" })
      assert.equal("not in DT_RUNPATH (/elsewhere)", search.message)
   end)

   it("expands the tokens of a needed name", function ()
      local found = tree:library "p/libsearched.so"
      local needed = "$ORIGIN/libsearched.so"
      local path = plugin("p/plugin.so", needed)
      local search = searching.run(searching.driver(), { needed, "wanter", path,
         "dlopen", path })
      assert.is_nil(search.dlerror)
      assert.equal(found, search.found)
   end)
end)

describe("Tokens in a list", function ()
   -- Not among them: "/", which ld.so takes for a folder that is not there once
   -- it did not have the first file.
   it("mean to us what they mean to ld.so", function ()
      local lists = {
         "$ORIGIN", "${ORIGIN}", "$ORIGIN/x$LIB", "${LIB}/y", "/o/$PLATFORM/",
         "/o/${PLATFORM}x", "$ORIGINAL:/a", "${ORIGIN:/b", "/c/$UNKNOWN/$",
         "/d/$ORIGIN/e", "$LIBx/$LIB_/$LIB-/f", "/g/${ORIGIN }/${LIB}}",
         "$$ORIGIN/h:/i//", "/j/${PLATFORM", "//k/:/l::/m/.//",
      }
      for _, list in ipairs(lists) do
         local driver = program("driver", OLD_TAGS, list)
         same(driver, { "libsearched.so", "dlopen", "libsearched.so" },
            { folder = tree.path })
      end
      -- In LD_LIBRARY_PATH they are the program's.
      for _, list in ipairs(lists) do
         same(program "driver", { "libsearched.so", "dlopen", "libsearched.so" },
            { env = { LD_LIBRARY_PATH = list }, folder = tree.path })
      end
   end)

   it("mean something in a name with a slash, too", function ()
      local found = tree:library "libsearched.so"
      local name = "$ORIGIN/libsearched.so"
      local search = searching.run(program "driver", { name, "dlopen", name })
      assert.is_nil(search.dlerror)
      assert.equal(found, search.found)
   end)
end)

describe("The folders for processors", function ()
   local words = { "libsearched.so", "dlopen", "libsearched.so" }

   local function library_path () return { LD_LIBRARY_PATH = tree.path } end

   it("are tried best first, before the folder itself", function ()
      tree:library "libsearched.so"
      same(searching.driver(), words, { env = library_path() })
      for _, level in ipairs { "x86-64-v2", "x86-64-v3", "x86-64-v4" } do
         tree:library("glibc-hwcaps/" .. level .. "/libsearched.so")
         same(searching.driver(), words, { env = library_path() })
      end
   end)

   it("are tried for the older names, too", function ()
      for _, name in ipairs { "x86_64", "tls", "tls/x86_64", "haswell" } do
         tree:library(name .. "/libsearched.so")
         same(searching.driver(), words, { env = library_path() })
      end
   end)

   it("follow what glibc's tunables switch off", function ()
      for _, level in ipairs { "x86-64-v2", "x86-64-v3", "x86-64-v4" } do
         tree:library("glibc-hwcaps/" .. level .. "/libsearched.so")
      end
      tree:library "libsearched.so"
      for _, hwcaps in ipairs {
         "-AVX512F_Usable,-AVX512F", "-AVX2_Usable,-AVX2", "-SSE4_2,-SSSE3",
      } do
         local env = library_path()
         env.GLIBC_TUNABLES = "glibc.cpu.hwcaps=" .. hwcaps
         same(searching.driver(), words, { env = env })
      end
   end)

   it("follow the mask of the older names", function ()
      for _, setting in ipairs {
         { "LD_HWCAP_MASK", "0" }, { "LD_HWCAP_MASK", "0x2" },
         { "GLIBC_TUNABLES", "glibc.malloc.check=0:glibc.cpu.hwcap_mask=0" },
      } do
         local search = same(searching.driver(),
            { "libnowhere.so", "dlopen", "libnowhere.so" },
            { env = { [setting[1]] = setting[2] } })
         assert.equal("notfound", search.failed)
      end
   end)

   it("are tried in the folders of each list", function ()
      local path = plugin("plugin.so", "libsearched.so", OLD_TAGS,
         "$ORIGIN/own:$ORIGIN/other")
      tree:at "own/glibc-hwcaps/x86-64-v2/x"
      tree:at "other/tls/x"
      local found = tree:library "other/x86_64/libsearched.so"
      local search = same(searching.driver(), { "libsearched.so",
         "wanter", path, "rpath", "$ORIGIN/own:$ORIGIN/other", "dlopen", path })
      assert.equal(found, search.found)
   end)
end)
