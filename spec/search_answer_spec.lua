--- What comes of a search: files that will not do, templates, an order of one's
--- own, and what the failure says.

local searching = require "spec.support.searching"

local same = searching.same

-- The kinds of steps, as src/run/search.h numbers them.
local PATH, RPATH, ENVIRONMENT, RUNPATH, CACHE, DEFAULT = 0, 1, 2, 3, 4, 5

local OLD_TAGS = "-Wl,--disable-new-dtags"
local NEW_TAGS = "-Wl,--enable-new-dtags"

local tree

before_each(function () tree = searching.tree() end)
after_each(function () tree:remove() end)

-- Links the driver with a list of folders and puts it into the tree.
local function program (name, tags, list)
   return tree:program(name, ("%s -Wl,-rpath,'%s'"):format(tags, list))
end

describe("What is found but will not do", function ()
   local words = { "libsearched.so", "dlopen", "libsearched.so" }

   local function conditions ()
      return { env = { LD_LIBRARY_PATH = tree:within "%/one:%/two" } }
   end

   it("is passed over when it is a 32-bit file", function ()
      local other = tree:patched("one/libsearched.so", 4, "\1")
      local found = tree:library "two/libsearched.so"
      local search = same(searching.driver(), words, conditions())
      assert.equal(found, search.found)
      assert.equal("badformat", search.kinds[other])
   end)

   it("is passed over when it is for another machine", function ()
      local other = tree:patched("one/libsearched.so", 18, "\183\0")
      local found = tree:library "two/libsearched.so"
      local search = same(searching.driver(), words, conditions())
      assert.equal(found, search.found)
      assert.equal("badarch", search.kinds[other])
   end)

   it("is named when nothing else was found", function ()
      local path = tree:patched("one/libsearched.so", 4, "\1")
      local search = same(searching.driver(), words, conditions())
      assert.equal("badformat", search.failed)
      assert.equal(path, search.path)
      assert.is_not_nil(search.message:find(path, 1, true))
      assert.is_not_nil(search.message:find(
         "invalid filetype, only ELF64 supported", 1, true))
      tree:patched("one/libsearched.so", 18, "\183\0")
      search = same(searching.driver(), words, conditions())
      assert.equal("badarch", search.failed)
      assert.is_not_nil(search.message:find(
         "invalid architecture, only AMD64 supported", 1, true))
   end)

   -- Root reads everything, unless it gives that up.
   local function humbly (search)
      search.through = { "setpriv", "--bounding-set",
         "-dac_override,-dac_read_search" }
      if searching.shell "id -u" ~= "0\n" then search.through = nil end
      return search
   end

   it("is passed over when it may not be read", function ()
      local closed = tree:library "one/libsearched.so"
      searching.shell("chmod 000 %s", closed)
      local found = tree:library "two/libsearched.so"
      local search = same(searching.driver(), words, humbly(conditions()))
      assert.equal(found, search.found)
      searching.shell("rm %s", found)
      search = same(searching.driver(), words, humbly(conditions()))
      assert.equal("system", search.failed)
      assert.equal("13", search.errno)
      assert.equal(closed, search.path)
      assert.is_not_nil(search.message:find("Permission denied", 1, true))
   end)

   it("ends a list, not the search, when it is a circle of links", function ()
      local circle = tree:at "one/libsearched.so"
      searching.shell("ln -s libsearched.so %s", circle)
      tree:library "two/libsearched.so"
      local search = same(searching.driver(), words, conditions())
      assert.equal("system", search.failed)
      assert.equal(circle, search.path)
      -- The next list is looked through.
      tree:library "runpath/libsearched.so"
      local driver = program("driver", NEW_TAGS, "$ORIGIN/runpath")
      search = same(driver, words, conditions())
      assert.equal(tree.path .. "/runpath/libsearched.so", search.found)
   end)

   it("ends the search when it is a directory or empty", function ()
      tree:library "two/libsearched.so"
      tree:at "one/libsearched.so/x"
      local search = same(searching.driver(), words, conditions())
      assert.equal("system", search.failed)
      assert.is_not_nil(search.message:find("a directory", 1, true))
      searching.shell("rmdir %s", tree.path .. "/one/libsearched.so")
      tree:write("one/libsearched.so", "")
      search = same(searching.driver(), words, conditions())
      assert.equal("badformat", search.failed)
      assert.is_not_nil(search.message:find("empty", 1, true))
   end)

   it("ends the search without waiting when it is a FIFO", function ()
      searching.shell("mkfifo %s", tree:at "one/libsearched.so")
      local search = searching.run(searching.driver(), { "libsearched.so" },
         conditions())
      assert.equal("system", search.failed)
      assert.is_not_nil(search.message:find("a FIFO", 1, true))
   end)

   it("is taken for its reader to judge when it is no ELF file", function ()
      local path = tree:write("one/libsearched.so", ("no ELF "):rep(20))
      tree:library "two/libsearched.so"
      local search = searching.run(searching.driver(), words, conditions())
      local ours, theirs = searching.lists(search)
      assert.same(theirs, ours)
      assert.is_not_nil(search.dlerror:find("invalid ELF header", 1, true))
      assert.equal(path, search.found)
   end)

   it("is found when the folder is given as a folder that is a file", function ()
      tree:write("one", "a file")
      local found = tree:library "two/libsearched.so"
      local search = same(searching.driver(), words, conditions())
      assert.equal(found, search.found)
   end)

   it("is of no use to anybody when no descriptor is left", function ()
      tree:library "one/libsearched.so"
      local search = searching.run(searching.driver(),
         { "libsearched.so", "files", "3" }, conditions())
      assert.equal("system", search.failed)
      assert.equal("24", search.errno)
      assert.equal(0, #search.scopes)
   end)
end)

describe("The failure of a search", function ()
   it("says who wanted what and where it was looked for", function ()
      local search = searching.run(searching.driver(), { "libnowhere.so.7",
         "wanter", "/p/plugin.so", "rpath", "/r/one:/r/two",
         "loader", "/p/outer.so", "rpath", "$ORIGIN/three",
         "path", "/t/?.so;$ORIGIN/?" },
         { env = { LD_LIBRARY_PATH = "/e/one" } })
      assert.equal("notfound", search.failed)
      assert.equal("/p/plugin.so", search.wanter)
      assert.same({ "/t/libnowhere.so.7.so", "/p/libnowhere.so.7", "/r/one",
         "/r/two", "/p/three", "/e/one", "/etc/ld.so.cache",
         "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib",
         "/usr/lib" }, search.scopes)
      for _, words in ipairs {
         "libnowhere.so.7: not found, needed by /p/plugin.so, which "
            .. "/p/outer.so needs; ",
         "no file /t/libnowhere.so.7.so, no file /p/libnowhere.so.7, ",
         "not in DT_RPATH of /p/plugin.so (/r/one, /r/two), ",
         "not in DT_RPATH of /p/outer.so (/p/three), ",
         "not in LD_LIBRARY_PATH (/e/one), not in /etc/ld.so.cache, ",
         "not in ld.so's own folders (/lib/x86_64-linux-gnu, ",
      } do
         assert.is_not_nil(search.message:find(words, 1, true), words
            .. "\n" .. search.message)
      end
   end)

   it("names what is much like it", function ()
      local search = searching.run(searching.driver(), { "libz.so.2" })
      assert.equal("libz.so.1", search.near[1])
      assert.is_not_nil(search.message:find("did you mean libz.so.1?", 1, true))
   end)

   it("says of a path who needed it", function ()
      local search = searching.run(searching.driver(),
         { "/nowhere/libx.so", "wanter", "/p/plugin.so" })
      assert.equal("notfound", search.failed)
      assert.equal("/nowhere/libx.so: no such file, needed by /p/plugin.so; "
         .. "there is no folder /nowhere", search.message)
      assert.equal("/nowhere/libx.so", search.path)
      assert.equal("/p/plugin.so", search.wanter)
   end)
end)

describe("The templates of a runtime", function ()
   it("come before everything else", function ()
      tree:library "environment/libsearched.so"
      local found = tree:library "templates/libsearched.so.plugin"
      local search = searching.run(program("driver", OLD_TAGS,
         "$ORIGIN/environment"), { "libsearched.so", "path",
         "/nowhere/?;;$ORIGIN/templates/?.plugin;$ORIGIN/environment/?" })
      assert.equal(found, search.found)
      assert.same({ "/nowhere/libsearched.so", found }, search.tried)
   end)

   it("pass over what is no regular file", function ()
      tree:at "one/libsearched.so/x"
      searching.shell("mkfifo %s", tree:at "two/libsearched.so")
      local found = tree:library "three/libsearched.so"
      local search = searching.run(searching.driver(), { "libsearched.so",
         "path", tree:within "%/one/?;%/two/?;%/three/?" })
      assert.equal(found, search.found)
   end)

   it("put the name in as it is", function ()
      local found = tree:library "a.b$LIB?c"
      local search = searching.run(searching.driver(), { "a.b$LIB?c", "path",
         tree.path .. "/?" })
      assert.equal(found, search.found)
   end)
end)

describe("An order of one's own", function ()
   it("is gone through as it is given", function ()
      tree:library "environment/libsearched.so"
      tree:library "rpath/libsearched.so"
      local driver = program("driver", OLD_TAGS, "$ORIGIN/rpath")
      local env = { LD_LIBRARY_PATH = tree.path .. "/environment" }
      for first, second in pairs {
         [RPATH] = ENVIRONMENT, [ENVIRONMENT] = RPATH,
      } do
         local search = searching.run(driver, { "libsearched.so",
            "order", tostring(first), "order", tostring(second) }, { env = env })
         local place = first == RPATH and "rpath" or "environment"
         assert.equal(("%s/%s/libsearched.so"):format(tree.path, place),
            search.found)
      end
      local search = searching.run(driver, { "libsearched.so",
         "order", tostring(CACHE), "order", tostring(PATH) }, { env = env })
      assert.equal("notfound", search.failed)
      assert.same({ "/etc/ld.so.cache" }, search.scopes)
   end)

   it("has steps that say why not when they are taken alone", function ()
      local driver = searching.driver()
      for place, reason in pairs {
         [PATH] = "the path is empty", [RPATH] = "no DT_RPATH counts",
         [ENVIRONMENT] = "LD_LIBRARY_PATH was not set",
         [RUNPATH] = "there is no DT_RUNPATH",
         [CACHE] = "not in /etc/ld.so.cache",
         [DEFAULT] = "not in ld.so's own folders (/lib/x86_64-linux-gnu, "
            .. "/usr/lib/x86_64-linux-gnu, /lib, /usr/lib)",
      } do
         local search = searching.run(driver,
            { "libnowhere.so", "in", tostring(place) })
         assert.equal("notfound", search.failed)
         assert.equal(reason, search.message)
      end
   end)

   it("has steps that answer also what cannot be opened", function ()
      local path = tree:write("libsearched.so", "")
      local search = searching.run(searching.driver(),
         { "libsearched.so", "in", tostring(ENVIRONMENT) },
         { env = { LD_LIBRARY_PATH = tree.path } })
      assert.equal(path, search.found)
   end)
end)

describe("A search", function ()
   -- With leak detection, and each allocation failing in turn.
   it("neither leaks nor reads what is not its own", function ()
      local driver = searching.compile("spec/support/search_driver.c", nil,
         "-fsanitize=address,undefined -fno-sanitize-recover=undefined")
      tree:patched("foreign/libsearched.so", 4, "\1")
      tree:write("empty/libsearched.so", "")
      tree:library "good/libsearched.so"
      local env = { LD_LIBRARY_PATH = tree:within "%/foreign:%/empty:/x/$LIB:",
         ASAN_OPTIONS = "detect_leaks=1" }
      for _, words in ipairs {
         { "libsearched.so", "starve" },
         { "searched", "path", tree:within "/y/?;%/good/lib?.so", "starve" },
         { "libnowhere.so.3", "wanter", "p/x.so", "rpath", "$ORIGIN:/a:/b//",
            "loader", "/q/y.so", "rpath", "${ORIGIN}/c:$PLATFORM", "starve" },
         { "libnowhere.so.3", "wanter", "/p/x.so", "runpath", "$ORIGIN::/a",
            "nodeflib", "starve" },
         { "libz.so.1", "starve" }, { "libz.so.9", "starve" },
         { "libz.so.1", "in", tostring(CACHE), "starve" },
         { "nothing", "in", tostring(DEFAULT), "starve" },
         { "$ORIGIN/nothing", "starve" }, { "$LIB", "wanter", "/x", "starve" },
      } do
         local search = searching.run(driver, words, { env = env })
         assert.is_not_nil(search.starved)
         assert.is_true(tonumber(search.starved) > 0)
      end
   end)
end)
