--- The policy table: what is checked when it is given, and where plugins come
--- from.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local elf = require "elf64load"
local searching = require "spec.support.searching"

local plugin = assert(cc.shared "int answer(void) { return 42; }")

local write = disk.write

-- What elf.runtime says of a policy, without where the script is.
local function refused (policy)
   local done, message = pcall(elf.runtime, policy)
   assert.is_false(done)
   return (message:gsub("^[^ ]*:%d+: ", ""))
end

describe("A policy", function ()
   it("is a table, or the name of a file", function ()
      for _, value in ipairs { 3, true } do
         assert.equal("elf.runtime needs a policy: a table such as { path = "
            .. '"./?.so" }, or the name of a file that returns one',
            refused(value))
      end
      assert.is_truthy(elf.runtime {}:close())
   end)

   it("has no keys but those that there are", function ()
      assert.equal("a policy has no key 'serach' (did you mean 'search'?)",
         refused { serach = print })
      assert.equal("a policy has no key 'xyzzyxyzzy'",
         refused { xyzzyxyzzy = 1 })
      assert.equal("a policy's keys are names, and a number is none",
         refused { "./?.so" })
   end)

   it("says which type a key has", function ()
      for key, rows in pairs {
         path = { { 3, "a number", "a string" } },
         search = {
            { "x", "'x'", "a function or a list of functions" },
            { false, "a boolean", "a function or a list of functions" },
            { setmetatable({}, { __name = "thing" }), "a thing",
               "a function or a list of functions" },
         },
         unload = { { "explode", "'explode'", "wait, refuse or leak" },
            { 1, "a number", "wait, refuse or leak" } },
      } do
         for _, row in ipairs(rows) do
            assert.equal(("the policy's '%s' is %s; %s expected"):format(key,
               row[2], row[3]), refused { [key] = row[1] })
         end
      end
   end)

   it("has lists without holes and names", function ()
      assert.equal("the policy's 'search[2]' is a number; a function expected",
         refused { search = { print, 2 } })
      assert.equal("the policy's 'search' is a list of functions, and has no "
         .. 'place for ["x"]', refused { search = { print, x = print } })
   end)

   it("is blamed where it was given", function ()
      local _, message = pcall(function () elf.runtime { pth = "x" } end)
      assert.is_truthy(message:find("^spec/policy_spec%.lua:%d+: "), message)
   end)
end)

describe("A policy's file", function ()
   local tree

   before_each(function () tree = searching.tree() end)
   after_each(function () tree:remove() end)

   it("is run, and its folder is $POLICY", function ()
      tree:copy("mods/lib/answer.so", plugin)
      local path = tree:at "mods/policy.lua"
      write(path, [[return { path = "./absent/?.so;$POLICY/lib/?.so" }]])
      local runtime <close> = assert(elf.runtime(path))
      local found = assert(runtime:open "answer")
      assert.equal(tree:within "%/mods/lib/answer.so", found.path)
      write(path, [[return { path = "${POLICY}/lib/?.so;$POLICYS/?.so" }]])
      local other <close> = assert(elf.runtime(path))
      assert(other:open "answer")
      assert.equal("$POLICYS/?.so", other.path:match ";(.*)")
   end)

   it("has no folder when it is a table", function ()
      assert.equal("the policy's 'path' says $POLICY, which is the folder of a "
         .. 'policy\'s file: elf.runtime "FILE" reads one',
         refused { path = "$POLICY/?.so" })
   end)

   it("that is not there is the world's fault", function ()
      local path = tree:within "%/absent.lua"
      local message, detail = assert.fails_with("notfound", elf.runtime, path)
      assert.equal("the policy " .. path .. ": No such file or directory",
         message)
      assert.equal(path, detail.path)
      assert.fails_with("system", elf.runtime, tree:within "%/")
   end)

   it("that is wrong raises, with its own place where it has one", function ()
      local path = tree:at "policy.lua"
      for text, words in pairs {
         ["return {"] = "the policy " .. path .. ":1: ",
         ["return 3"] = "returns a number; a table expected",
         ["error { 1 }"] = {},
         ["return { serach = 1 }"] = "the policy " .. path
            .. ": a policy has no key 'serach' (did you mean 'search'?)",
      } do
         write(path, text)
         local done, message = pcall(elf.runtime, path)
         assert.is_false(done)
         assert.is_true(type(words) == "table" and type(message) == "table"
            or message:find(words, 1, true) ~= nil, tostring(message))
      end
   end)
end)

describe("The policy's search", function ()
   it("may answer a path or a source", function ()
      local bytes = disk.contents(plugin)
      local runtime <close> = elf.runtime {
         search = function (name)
            if name == "by path" then return plugin end
            if name == "by bytes" then
               return elf.source { bytes = bytes, name = "pack:answer" }
            end
         end,
      }
      assert.equal(plugin, assert(runtime:open "by path").path)
      assert.equal("pack:answer", assert(runtime:open "by bytes").path)
   end)

   it("is asked before the path, and knows the wanter", function ()
      local tree = searching.tree()
      local needed = assert(cc.shared("int needed;"))
      tree:copy("libneeded.so", needed)
      local wanting = assert(cc.shared("int wanting;",
         ("-Wl,--no-as-needed '%s'"):format(assert(cc.shared("int stub;",
         "-Wl,-soname,libneeded.so")))))
      local asked = {}
      local runtime <close> = elf.runtime {
         path = tree:within "%/?",
         search = function (name, wanter)
            asked[#asked + 1] = name .. " for " .. (wanter and wanter.path or "us")
         end,
      }
      local p = assert(runtime:open(wanting))
      assert.equal(tree:within "%/libneeded.so", p.needs[1].path)
      assert.same({ "libneeded.so for " .. wanting }, asked)
      p:close()
      tree:remove()
   end)

   it("may be a list, whose refusals are all told", function ()
      local runtime <close> = elf.runtime {
         path = "/nowhere/?",
         search = {
            function () return nil, "not in the pack" end,
            function () end,
            setmetatable({}, { __call = function (_, name)
               return nil, name .. " was never made"
            end }),
         },
      }
      local message = assert.fails_with("notfound", runtime.open, runtime,
         "libnope.so")
      assert.equal("libnope.so: not found; not in the pack, libnope.so was "
         .. "never made, no file /nowhere/libnope.so, not in /etc/ld.so.cache, ",
         message:match "^.-cache, ")
      assert.is_truthy(message:find("install it", 1, true))
   end)

   it("comes before searchers that were put in", function ()
      local order = {}
      local runtime <close> = elf.runtime {
         search = function () order[#order + 1] = "search" end,
      }
      table.insert(runtime.searchers, 1, function ()
         order[#order + 1] = "searcher"
         return nil, "nor here"
      end)
      local message = assert.fails_with("notfound", runtime.open, runtime,
         "libnope.so")
      assert.same({ "search", "searcher" }, order)
      assert.is_truthy(message:find("\n\tnor here\n", 1, true))
   end)

   it("is named with what it was asked for where its answer will not do",
      function ()
         local runtime <close> = elf.runtime {
            search = function (name)
               return name == "thing" and "./nope.so" or nil
            end,
         }
         runtime.preload.other = "./nope.so"
         for _, name in ipairs { "thing", "other" } do
            local message, detail = assert.fails_with("notfound", runtime.open,
               runtime, name)
            assert.equal(("./nope.so: no such file; it is what the search hook "
               .. "answered for '%s'"):format(name), message)
            assert.equal("./nope.so", detail.path)
         end
      end)

   it("fails the open when it raises, with what it raised", function ()
      local thing = {}
      local runtime <close> = elf.runtime {
         search = function () error(thing) end,
      }
      local _, detail = assert.fails_with("hook", runtime.open, runtime, "x")
      assert.equal(thing, detail.error)
   end)

   it("fails the open when it answers something else", function ()
      local runtime <close> = elf.runtime {
         search = { function () end, function () return 3 end },
      }
      local message, detail = assert.fails_with("hook", runtime.open, runtime,
         "x")
      assert.equal("search 2 answered a number for 'x'; a path, a source, or "
         .. "nil and why not expected", detail.error)
      assert.equal("x: in the hook 'search': " .. detail.error, message)
   end)

   it("leaves nothing when it fails", function ()
      local wanting = assert(cc.shared("int wanting2;",
         ("-Wl,--no-as-needed '%s'"):format(assert(cc.shared("int stub;",
         "-Wl,-soname,libneeded.so")))))
      local runtime <close> = elf.runtime {
         search = function () error "no" end,
      }
      assert.leaves_nothing(runtime.open, runtime, wanting)
   end)
end)

describe("The policy's lazy", function ()
   local lacking = assert(cc.shared [[
      int absent(void);
      int answer(void) { return 42; }
      int call(void) { return absent(); }
   ]])

   it("has functions bound when they are first called", function ()
      local eager <close> = elf.runtime { lazy = false }
      assert.fails_with("undefined", eager.open, eager, lacking)
      local runtime <close> = elf.runtime { lazy = true }
      local p = assert(runtime:open(lacking))
      assert.equal(42, p:cdef "int answer(void);".answer())
   end)

   it("is true or false", function ()
      assert.equal("the policy's 'lazy' is 'yes'; true or false expected",
         refused { lazy = "yes" })
   end)
end)

describe("What is preloaded", function ()
   it("stands for names and paths, before all searching", function ()
      local runtime <close> = elf.runtime {
         search = function () error "not to be asked" end,
      }
      runtime.preload["libanswer.so"] = plugin
      runtime.preload["./answer.so"] = function (name, wanter)
         assert.equal("./answer.so", name)
         assert.is_nil(wanter)
         return elf.source { path = plugin }
      end
      local p = assert(runtime:open "libanswer.so")
      assert.equal(plugin, p.path)
      assert.equal(p, assert(runtime:open "./answer.so"))
   end)

   it("may say why not, and leaves the rest to the search", function ()
      local runtime <close> = elf.runtime {}
      runtime.preload["libnope.so"] = function () return nil, "not today" end
      local message = assert.fails_with("notfound", runtime.open, runtime,
         "libnope.so")
      assert.is_truthy(message:find(
         "libnope.so: not found; not today, not in /etc", 1, true), message)
      assert(runtime:open "libz.so.1")
   end)

   it("is a table of the runtime's, and of elf64load", function ()
      assert.equal("table", type(elf.preload))
      elf.preload["a name"] = plugin
      local p <close> = assert(elf.open "a name")
      elf.preload = {}
      assert.equal(plugin, p.path)
      assert.fails_with("notfound", elf.open, "another name")
      assert.error_matches(function () elf.preload = 3 end,
         "^'preload' cannot be a number; a table by names expected$")
      elf.preload.odd = 5
      assert.says("what is preloaded for 'odd' is a number; a function expected",
         elf.open, "odd")
      elf.preload = {}
   end)

   it("needs no Lua once it is empty again", function ()
      -- A name that another thread would look for fails as `hook` if it did.
      local result = child.lua [[
         local elf = require "elf64load"
         local runtime = elf.runtime {}
         runtime.preload.x = "./x"
         runtime:open "libnope.so"
         print(runtime.given_search)
         runtime.preload.x = nil
         runtime:open "libnope.so"
         print(runtime.given_search)
      ]]
      assert.equal("true\nfalse\n", result.out, result.err)
   end)
end)
