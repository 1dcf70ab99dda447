--- Searches in a program that runs with rights which its caller does not have:
--- set-group-id, in a root of its own, where /etc/suid-debug lets ld.so say what
--- it tries.

local cc = require "elf64load.cc"
local searching = require "spec.support.searching"

local OLD_TAGS = "-Wl,--disable-new-dtags"

local tree

-- The group must be another one than ours, which only root can give a file.
local root = searching.shell "id -u" == "0\n"
local case = root and it or pending

before_each(function ()
   tree = searching.tree():root()
   tree:write("etc/suid-debug", "")
end)
after_each(function () tree:remove() end)

local function program (path, rpath)
   local flags = rpath and ("%s -Wl,-rpath,'%s'"):format(OLD_TAGS, rpath)
   local copy = tree:copy(path, searching.driver(flags))
   searching.shell("chgrp 1 %s && chmod 2755 %s", copy, copy)
   -- Nothing more of /proc is there, nor is it looked for in a secure program.
   searching.shell("ln -sf %s %s", "/" .. path, tree:at "proc/self/exe")
   return "/" .. path
end

local function library (path, flags)
   tree:copy(path, assert(cc.shared("int searched;", flags)))
   return "/" .. path
end

local function search (driver, words, conditions)
   conditions = conditions or {}
   conditions.root = tree.path
   local result = searching.run(driver, words, conditions)
   assert.is_true(result.secure, "the file system ignores set-group-id")
   return result
end

local function same (driver, words, conditions)
   local result = search(driver, words, conditions)
   local ours, theirs = searching.lists(result)
   assert.is_true(#theirs > 0)
   assert.same(theirs, ours)
   assert.equal(result.found == nil, result.dlerror ~= nil, result.dlerror)
   return result
end

describe("A secure program", function ()
   local words = { "libsearched.so", "dlopen", "libsearched.so" }

   case("ignores LD_LIBRARY_PATH", function ()
      library "opt/libsearched.so"
      local result = same(program "driver", words,
         { env = { LD_LIBRARY_PATH = "/opt" } })
      assert.equal("notfound", result.failed)
   end)

   case("ignores what masks and tunables say", function ()
      same(program "driver", words, { env = { LD_HWCAP_MASK = "0",
         GLIBC_TUNABLES = "glibc.cpu.hwcap_mask=0" } })
   end)

   case("ignores $ORIGIN unless it leads into ld.so's own folders", function ()
      library "opt/lib/libsearched.so"
      assert.equal("notfound",
         same(program("opt/driver", "$ORIGIN/lib"), words).failed)
      library "usr/lib/own/libsearched.so"
      tree:at "usr/lib/own/x/y"
      for _, list in ipairs {
         "$ORIGIN", "$ORIGIN/", "${ORIGIN}/.", "$ORIGIN/../own",
         "$ORIGIN/x/../../own//.", "/nowhere:$ORIGIN",
      } do
         local result = same(program("usr/lib/own/driver", list), words)
         assert.is_not_nil(result.found, list)
      end
      for _, list in ipairs {
         "$ORIGIN/../../../opt/lib", "/$ORIGIN", "/x$ORIGIN", "/$ORIGINx",
         "$ORIGIN$ORIGIN", "/usr/lib/../..$ORIGIN", "$ORIGIN/../../libx",
         "$ORIGIN/../../../..",
      } do
         same(program("usr/lib/own/driver", list), words)
      end
   end)

   case("has $LIB and $PLATFORM", function ()
      library "opt/lib/x86_64-linux-gnu/libsearched.so"
      local result = same(program("driver", "/opt/$LIB:/opt/$PLATFORM"), words)
      assert.is_not_nil(result.found)
   end)

   case("lets a plugin have its $ORIGIN when it comes first", function ()
      local stub = assert(cc.shared("int searched;", "-Wl,-soname,libsearched.so"))
      for list, found in pairs {
         ["$ORIGIN/own"] = true, ["/x$ORIGIN/own"] = false,
      } do
         tree:copy("opt/plugin.so", assert(cc.shared("int wants;",
            ("-Wl,--no-as-needed '%s' %s -Wl,-rpath,'%s'"):format(stub,
               OLD_TAGS, list))))
         library "opt/own/libsearched.so"
         local result = same(program "driver", { "libsearched.so",
            "wanter", "/opt/plugin.so", "rpath", list,
            "dlopen", "/opt/plugin.so" })
         assert.equal(found, result.found ~= nil)
      end
   end)

   case("refuses a plugin's need that is written with tokens", function ()
      local needed = "$ORIGIN/libsearched.so"
      local stub = assert(cc.shared("int searched;",
         ("-Wl,-soname,'%s'"):format(needed)))
      tree:copy("usr/lib/plugin.so", assert(cc.shared("int wants;",
         ("-Wl,--no-as-needed '%s'"):format(stub))))
      library "usr/lib/libsearched.so"
      local result = search(program "driver", { needed,
         "wanter", "/usr/lib/plugin.so", "dlopen", "/usr/lib/plugin.so" })
      assert.is_not_nil(result.dlerror:find("DST not allowed", 1, true))
      assert.equal("denied", result.failed)
   end)

   case("expands its own names only into ld.so's own folders", function ()
      library "opt/libsearched.so"
      library "usr/lib/libsearched.so"
      for folder, found in pairs { ["opt"] = false, ["usr/lib"] = true } do
         local result = search(program(folder .. "/driver"),
            { "$ORIGIN/libsearched.so", "dlopen", "$ORIGIN/libsearched.so" })
         assert.equal(found, result.found ~= nil, result.message)
         assert.equal(found, result.dlerror == nil, result.dlerror)
      end
   end)

   -- ld.so does look into relative folders of the program's own lists; whoever
   -- starts the program chooses what they are.
   case("has no relative folders and templates", function ()
      library "here/libsearched.so"
      local result = search(program("driver", "here:/nowhere"),
         { "libsearched.so", "cd", "/", "path", "here/?;./here/?" })
      assert.equal("notfound", result.failed)
      for _, path in ipairs(result.tried) do
         assert.equal("/", path:sub(1, 1))
      end
      assert.equal("/nowhere", result.scopes[1])
   end)

   case("has the templates that are absolute", function ()
      library "here/libsearched.so"
      local result = search(program "driver",
         { "libsearched.so", "path", "/here/?" })
      assert.equal("/here/libsearched.so", result.found)
   end)
end)

describe("A program without foreign rights", function ()
   it("in the same root looks into relative folders", function ()
      library "here/libsearched.so"
      local copy = tree:copy("driver", searching.driver(
         OLD_TAGS .. " -Wl,-rpath,here"))
      assert.is_not_nil(copy)
      local result = searching.run("/driver", { "libsearched.so", "cd", "/",
         "dlopen", "libsearched.so" }, { root = tree.path })
      assert.is_false(result.secure)
      assert.equal("here/libsearched.so", result.found)
      -- Without /proc it goes by its environment as it finds it.
      result = searching.run("/driver", { "libother.so", "dlopen",
         "libother.so" }, { root = tree.path,
         env = { LD_LIBRARY_PATH = "/here" } })
      local ours, theirs = searching.lists(result)
      assert.same(theirs, ours)
      assert.is_true(table.concat(ours, "\n"):find("/here/libother.so", 1, true)
         ~= nil)
   end)
end)
