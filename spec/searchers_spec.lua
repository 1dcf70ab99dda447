--- The searchers of elf64load: ld.so's order as a list in Lua.

local assert = require "spec.support.assert"
local core = require "elf64load.core"
local search = require "elf64load.search"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local disk = require "spec.support.disk"
local searching = require "spec.support.searching"

local tree

before_each(function () tree = searching.tree() end)
after_each(function () tree:remove() end)

local function state (path)
   return { path = path, searchers = search.list() }
end

-- Kinds of failure are for elf.open; a searcher gives nil and why not.
local function says (words, found, why)
   assert.is_nil(found)
   assert.is_not_nil(why:find(words, 1, true), why)
end

describe("The list of searchers", function ()
   it("is ld.so's order, after the templates", function ()
      local list = search.list()
      local names = {
         "path", "rpath", "environment", "runpath", "cache", "default",
      }
      assert.equal(#names, #list)
      for at, name in ipairs(names) do
         assert.equal("function", type(list[at]))
         assert.equal(core.search[name], list[at])
         assert.equal(list[name], list[at])
      end
   end)

   it("knows whether it was touched", function ()
      local this = state()
      assert.is_true(search.untouched(this))
      table.insert(this.searchers, function () end)
      assert.is_false(search.untouched(this))
      table.remove(this.searchers)
      assert.is_true(search.untouched(this))
      this.searchers[1], this.searchers[2] = this.searchers[2], this.searchers[1]
      assert.is_false(search.untouched(this))
      this.searchers = { table.unpack(search.list(), 1, 5) }
      assert.is_false(search.untouched(this))
      this.searchers = search.list()
      assert.is_true(search.untouched(this))
   end)

   it("must be a table, of functions", function ()
      local runtime <close> = require "elf64load".runtime {}
      assert.error_matches(function () runtime.searchers = false end,
         "^'searchers' cannot be a boolean; a list of functions expected$")
      assert.error_matches(function () runtime.searchers = nil end, "a nil")
      runtime.searchers[1] = 5
      assert.says("searcher 1 is a number; a function expected", runtime.open,
         runtime, "libnope.so")
   end)
end)

describe("A searcher", function ()
   local list = search.list()

   it("for templates puts the name in as it is", function ()
      local found = tree:library "a.b.so"
      local path = tree:within "/nowhere/?.so;%/?.so"
      assert.equal(found, list.path("a.b", nil, path))
      says(tree:within "no file /nowhere/x.so, no file %/x.so",
         list.path("x", nil, path))
      says("the path is empty", list.path "x")
      says("the path is empty", list.path("x", nil, ""))
   end)

   it("for DT_RPATH looks into the wanter's and its loaders'", function ()
      local found = tree:library "two/libsearched.so"
      local wanter = { path = tree:within "%/x.so", rpath = "$ORIGIN/one",
         loader = { path = tree:within "%/y.so", rpath = "/nowhere:$ORIGIN/two" },
      }
      assert.equal(found, list.rpath("libsearched.so", wanter))
      says("not in DT_RPATH of " .. tree:within "%/x.so (%/one), ",
         list.rpath("libother.so", wanter))
      wanter.runpath = "/nowhere"
      says("no DT_RPATH counts", list.rpath("libsearched.so", wanter))
   end)

   it("for DT_RUNPATH looks into the wanter's", function ()
      local found = tree:library "one/libsearched.so"
      local wanter = { path = tree:within "%/x.so", runpath = "$ORIGIN/one" }
      assert.equal(found, list.runpath("libsearched.so", wanter))
      says("not in DT_RUNPATH", list.runpath("libother.so", wanter))
      says("there is no DT_RUNPATH", list.runpath("libother.so", {}))
   end)

   it("for the environment looks into it as it was at process start", function ()
      local found = tree:library "libsearched.so"
      local result = child.lua([[
         local core = require "elf64load.core"
         print(core.search.environment "libsearched.so")
         print(core.search.environment "libother.so")
      ]], {}, { env = { LD_LIBRARY_PATH = tree.path } })
      assert.equal(0, result.code, result.err)
      assert.equal(found .. "\nnil\tnot in LD_LIBRARY_PATH (" .. tree.path
         .. ")\n", result.out)
   end)

   it("for the cache and for ld.so's own folders heeds nodeflib", function ()
      local cached = list.cache "libz.so.1"
      assert.is_not_nil(cached:match "/libz%.so%.1$")
      assert.is_not_nil(list.default("libz.so.1"):match "/libz%.so%.1$")
      local wanter = { nodeflib = true }
      says("which DF_1_NODEFLIB excludes", list.cache("libz.so.1", wanter))
      says("DF_1_NODEFLIB excludes", list.default("libz.so.1", wanter))
      says("not in /etc/ld.so.cache", list.cache "libnowhere.so")
      says("not in ld.so's own folders", list.default "libnowhere.so")
   end)

   it("names what it passed over", function ()
      local path = tree:patched("libsearched.so", 4, "\1")
      says(path .. " was passed over: invalid filetype, only ELF64 supported",
         list.runpath("libsearched.so", { runpath = tree.path }))
   end)

   it("does not look for paths", function ()
      for _, name in ipairs { "", "/", "./libz.so", "$ORIGIN/libz.so" } do
         says("is not a name to look for", list.cache(name))
      end
   end)

   it("raises on wanters that are none", function ()
      local circle = {}
      circle.loader = circle
      for _, wanter in ipairs {
         1, "x", { rpath = 1 }, { path = {} }, { loader = "x" }, circle,
      } do
         assert.has_error(function () list.rpath("libz.so.1", wanter) end)
      end
      assert.has_error(function () list.rpath() end)
      assert.has_error(function () list.path("x", nil, {}) end)
   end)
end)

describe("A list that was touched", function ()
   it("is asked in its order, and the first answer counts", function ()
      local this, asked = state "/nowhere/?", {}
      local source = { bytes = "x" }
      local wanter = { path = "/p/x.so" }
      this.searchers = {
         function (...) asked[1] = { ... } end,
         function (...) asked[2] = { ... } return nil, "not today" end,
         function (...) asked[3] = { ... } return source end,
         function () asked[4] = {} end,
      }
      assert.equal(source, search.find(this, "libx.so", wanter))
      for at = 1, 3 do
         assert.same({ "libx.so", wanter, "/nowhere/?" }, asked[at])
      end
      assert.is_nil(asked[4])
   end)

   it("finds what C finds", function ()
      local this = state(tree:within "%/own/?;%/own/?.plugin")
      table.insert(this.searchers, 1, function () return nil end)
      local found = tree:library "own/libsearched.so.plugin"
      assert.equal(found, search.find(this, "libsearched.so"))
      tree:library "p/libsearched.so.2"
      local wanter = { path = tree:within "%/p/x.so", rpath = "$ORIGIN" }
      assert.equal(tree:within "%/p/libsearched.so.2",
         search.find(this, "libsearched.so.2", wanter))
      assert.equal(core.search.cache "libz.so.1",
         search.find(this, "libz.so.1"))
   end)

   it("looks for lib?.so when a script asks for a bare name", function ()
      local this = state(tree:within "%/?")
      this.searchers[1], this.searchers[2] = this.searchers[2], this.searchers[1]
      local found = tree:library "libsearched.so"
      assert.equal(found, search.find(this, "searched"))
      says("not found, needed by /x:",
         search.find(this, "searched", { path = "/x" }))
      found = tree:library "searched"
      assert.equal(found, search.find(this, "searched"))
   end)

   it("joins the reasons why not", function ()
      local this = { searchers = {
         function () return nil, "the first is shut" end,
         function () return false end,
         core.search.cache,
         function () return nil, "" end,
      } }
      local found, why = search.find(this, "libnowhere.so")
      assert.is_nil(found)
      assert.equal("not found:\n\tthe first is shut\n\tnot in /etc/ld.so.cache",
         why)
      found, why = search.find({ searchers = {} }, "x.so", { path = "/p.so" })
      assert.is_nil(found)
      assert.equal("not found, needed by /p.so", why)
   end)

   it("is not asked for paths", function ()
      local this = { searchers = { function () error "asked" end } }
      assert.same({ n = 1 }, table.pack(search.find(this, "./x.so")))
      assert.same({ n = 1 }, table.pack(search.find(this, "$ORIGIN/x.so")))
   end)

   it("hands errors on, and raises on answers that are none", function ()
      local this = { searchers = { function () error({ code = 7 }) end } }
      local done, raised = pcall(search.find, this, "x")
      assert.is_false(done)
      assert.same({ code = 7 }, raised)
      this = { searchers = { function () end, function () return 7 end } }
      assert.has_error(function () search.find(this, "x") end,
         "searcher 2 answered a number for 'x'; a path, a source, or nil and "
         .. "why not expected")
   end)
end)

describe("searchpath", function ()
   it("is package.searchpath without dots becoming slashes", function ()
      local found = tree:write("a.b.so", "")
      local path = tree:within "%/?.x;%/?.so"
      assert.equal(found, search.searchpath("a.b", path))
      assert.equal(select(2, package.searchpath("c.d", path, "")),
         select(2, search.searchpath("c.d", path)))
      says(tree:within "%/c.d.so", search.searchpath("c.d", path))
   end)
end)

describe("elf.open", function ()
   local elf = require "elf64load"

   it("looks through the path of its runtime first", function ()
      local found = tree:library "libz.so.1.plugin"
      local runtime <close> = elf.runtime { path = tree:within "%/?.plugin" }
      local plugin = assert(runtime:open "libz.so.1")
      assert.equal(found, plugin.path)
      runtime.path = tree:within "/nowhere/?"
      assert.is_nil(runtime:open "libsearched.so")
      tree:library "libsearched.so.other"
      runtime.path = tree:within "%/?.other"
      assert.is_not_nil(runtime:open "libsearched.so")
   end)

   it("finds lib?.so for a bare name", function ()
      local found = tree:library "libsearched.so"
      local runtime <close> = elf.runtime { path = tree:within "%/?" }
      assert.equal(found, assert(runtime:open "searched").path)
   end)

   it("asks searchers that are Lua functions", function ()
      local found = tree:library "x.so"
      local runtime <close> = elf.runtime {}
      local asked = {}
      table.insert(runtime.searchers, 1, function (name, wanter)
         asked[#asked + 1] = { name, wanter }
         if name == "libmine.so" then return found end
         if name == "libbytes.so" then
            return elf.source { bytes = disk.contents(found), name = name }
         end
         return nil, "no mine of ours has it"
      end)
      assert.equal(found, assert(runtime:open "libmine.so").path)
      assert.equal("libbytes.so", assert(runtime:open "libbytes.so").path)
      assert.equal(found, assert(runtime:open(found)).path)
      local _, message, kind = runtime:open "libnowhere.so"
      assert.equal("notfound", kind)
      assert.is_not_nil(message:find("no mine of ours has it", 1, true))
      assert.is_not_nil(message:find("not in /etc/ld.so.cache", 1, true))
      assert.same({ "libmine.so" }, asked[1])
      assert.same({ "libbytes.so" }, asked[2])
   end)

   it("asks them for what a plugin opens that Lua has called", function ()
      local bytes = disk.contents(assert(cc.shared "int f(void) { return 7; }"))
      local opener = assert(cc.shared [[
         #include <dlfcn.h>
         int reach(const char *name)
         {
            void *library = dlopen(name, RTLD_NOW);
            return library ? ((int (*)(void))dlsym(library, "f"))() : -1;
         }
      ]])
      local function reacher (runtime)
         return assert(runtime:open(opener)):cdef "int reach(const char *name);"
      end
      local runtime <close> = elf.runtime {}
      local other <close> = elf.runtime {}
      local C, D = reacher(runtime), reacher(other)
      local reached
      local function by_source (name)
         if name == "libbytes.so" then
            return elf.source { bytes = bytes, name = name }
         elseif name == "libread.so" then
            return elf.source { name = name, size = #bytes,
               read = function (offset, size)
                  return bytes:sub(offset + 1, offset + size)
               end }
         elseif name == "libouter.so" then
            -- A call within the open that asked.
            reached = D.reach "libread.so"
            return elf.source { bytes = bytes, name = name }
         elseif name == "libown.so" then
            reached = C.reach "libbytes.so"
            return elf.source { bytes = bytes, name = name }
         elseif name == "libraise.so" then
            error "on purpose"
         end
      end
      table.insert(runtime.searchers, 1, by_source)
      table.insert(other.searchers, 1, by_source)
      assert(other:open "libbytes.so")
      assert(runtime:open "libbytes.so") -- hands the list over
      assert.equal(7, C.reach "libbytes.so")
      assert.equal(7, C.reach "libread.so")
      assert.equal(-1, C.reach "libraise.so")
      assert.equal(7, assert(runtime:open "libouter.so"):cdef "int f(void);".f())
      assert.equal(7, reached)
      assert.fails_with("hook", runtime.open, runtime, "libraise.so")
      -- In the runtime that asks, nothing is opened meanwhile.
      local message = assert.fails_with("hook", runtime.open, runtime,
         "libown.so")
      assert.is_truthy(message:find("opens a plugin", 1, true), message)
      assert.equal(-1, reached)
   end)

   it("looks nowhere else than a list of searchers says", function ()
      local runtime <close> = elf.runtime {}
      runtime.searchers = { runtime.searchers.rpath }
      local plugin, message, kind = runtime:open "libsqlite3.so.0"
      assert.is_nil(plugin)
      assert.equal("notfound", kind)
      assert.is_not_nil(message:find("no DT_RPATH counts", 1, true), message)
   end)

   it("hands on what a searcher raises", function ()
      local runtime <close> = elf.runtime {}
      local cause = { code = 7 }
      runtime.searchers[1] = function () error(cause) end
      local plugin, _, kind, detail = runtime:open "libnowhere.so"
      assert.is_nil(plugin)
      assert.equal("hook", kind)
      assert.equal(cause, detail.error)
   end)

   it("says where it was looked for", function ()
      local plugin, _, kind, detail = elf.open "libz.so.99"
      assert.is_nil(plugin)
      assert.equal("notfound", kind)
      assert.equal("/etc/ld.so.cache", detail.scopes[1])
      assert.equal("libz.so.1", detail.near[1])
   end)

   it("follows ld scripts to the library that they name", function ()
      local library = tree:library "real/libreal.so.1"
      tree:write("libscript.so", "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)"
         .. "\nGROUP ( " .. library .. " -lc )\n")
      local runtime <close> = elf.runtime { path = tree:within "%/?" }
      assert.equal(library, assert(runtime:open "script").path)
      tree:write("libbad.so", "GROUP ( /x.so\n")
      local plugin, message, kind = runtime:open "libbad.so"
      assert.is_nil(plugin)
      assert.equal("badformat", kind)
      assert.is_not_nil(message:find("line 1 of the ld script", 1, true), message)
   end)
end)
