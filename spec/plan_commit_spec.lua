--- Committing plans: just what was planned is opened, or what is not any more as
--- it was is said; and what becomes of plans that nobody commits.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local planning = require "spec.support.planning"
local elf = require "elf64load"
local lfs = require "lfs"

local leaf, other = planning.leaf, planning.other
local needing, object, run = fixtures.needing, planning.object, planning.run
local root = needing(leaf .. " " .. other, [[
   #include <stdlib.h>
   extern long leaf(void), twice(void);
   extern long nobody(void) __attribute__((weak));
   void *take(void) { return malloc(1); }
   long f(void) { return leaf() + twice() + (nobody ? 1 : 0); }]])

describe("A commit fails as changed", function ()
   local counter = 0

   -- A copy that may be spoilt.
   local function copy (path)
      counter = counter + 1
      local to = ("%s/plan-%d-%s.so"):format(fixtures.folder, counter,
         lfs.symlinkattributes("/proc/self", "target"))
      os.remove(to)
      campaign.write(to, campaign.contents(path))
      finally(function () os.remove(to) end)
      return to
   end

   local function changed (plan, words)
      local message, detail = assert.fails_with("changed", plan.commit, plan)
      for _, word in ipairs(words) do
         assert.truthy(message:find(word, 1, true), message)
      end
      return detail
   end

   it("when the file was replaced", function ()
      local path = copy(leaf)
      local plan <close> = assert(elf.plan(path))
      campaign.write(path, campaign.contents(leaf))
      local detail = changed(plan, { path, "another file stands in its place",
         "plan it anew" })
      assert.equal(path, detail.path)
      assert.is_nil(elf.loaded[path])
   end)

   it("when it was written to, cut short or taken away", function ()
      local path = copy(leaf)
      local plan <close> = assert(elf.plan(path))
      local file = assert(io.open(path, "r+b"))
      file:seek("set", 64)
      file:write "\0"
      file:close()
      changed(plan, { path, "it has been written to" })
      local second <close> = assert(elf.plan(copy(other)))
      file = assert(io.open(second.path, "ab"))
      file:write "more"
      file:close()
      changed(second, { second.path, "its size has changed" })
      local third <close> = assert(elf.plan(copy(leaf)))
      os.remove(third.path)
      changed(third, { third.path, "it is gone" })
   end)

   it("when something that it needs was replaced", function ()
      local needed = copy(leaf)
      local path = needing(needed,
         "extern long leaf(void); long f(void) { return leaf(); }")
      finally(function () os.remove(path) end)
      local plan <close> = assert(elf.plan(path))
      campaign.write(needed, campaign.contents(leaf))
      changed(plan, { path, needed, "another file stands in its place" })
   end)

   it("when the runtime has opened it, or closed what it had", function ()
      local runtime <close> = elf.runtime {}
      local plan <close> = assert(runtime:plan(root))
      local p = assert(runtime:open(leaf))
      changed(plan, { leaf, "it was to be opened", "the runtime has it open" })
      local second <close> = assert(runtime:plan(root))
      assert(p:close())
      changed(second, { leaf, "the runtime had it open", "to be opened" })
   end)

   it("when another plugin defines a name for all since then", function ()
      local runtime <close> = elf.runtime {}
      local plan <close> = assert(runtime:plan(root))
      local p <close> = assert(runtime:open(other,
         { global = true, private = true }))
      local detail = changed(plan, { "'twice'", root, "that of " .. leaf, other })
      assert.equal("twice", detail.symbol)
      assert.equal("started", p.state)
   end)

   it("when the host has what a name now leads to", function ()
      local out = run([[
         local plan = assert(elf.plan(arg[1]))
         local C = elf.host:cdef
            "void *dlopen(const char *name, int how);"
         assert(C.dlopen(arg[2], 2 | 0x100))
         local p, message, kind, detail = plan:commit()
         print(p, kind, detail.symbol)
         print(message)]], root, other)
      assert.matches("^nil\tchanged\t", out)
      assert.truthy(out:find(other, 1, true), out)
   end)

   it("when a search finds another file", function ()
      local found = leaf
      local runtime <close> = elf.runtime {
         search = function (name) return name == "name" and found or nil end,
      }
      local plan <close> = assert(runtime:plan "name")
      found = other
      changed(plan, { leaf, "it was to be opened", other })
   end)

   it("when it is committed once more, and not once that is closed", function ()
      local runtime <close> = elf.runtime {}
      local plan <close> = assert(runtime:plan(root))
      local p = assert(plan:commit())
      changed(plan, { root, "the runtime has it open" })
      assert(p:close())
      p = assert(plan:commit())
      assert.equal(11, p:cdef "long f(void);".f())
   end)

   it("when bytes that no file stands for are others", function ()
      local bytes = campaign.contents(leaf)
      local runtime <close> = elf.runtime {
         search = function (name)
            return name == "packed" and elf.source { bytes = bytes, name = "packed" }
               or nil
         end,
      }
      local plan <close> = assert(runtime:plan "packed")
      assert(plan:commit()):close()
      local at = #bytes
      bytes = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1)
      changed(plan, { "packed", "its bytes have changed" })
   end)
end)

describe("A policy's say", function ()
   it("is in the order of starts", function ()
      local runtime <close> = elf.runtime {
         order = function (plugins)
            local sorted = {}
            for _, plugin in ipairs(plugins) do
               table.insert(sorted, plugin.path == other and 1 or #sorted + 1,
                  plugin)
            end
            return sorted
         end,
      }
      local plan <close> = assert(runtime:plan(root))
      assert.same({ other, leaf, root }, plan.order)
      assert(plan:commit())
   end)

   it("is in what names mean: what the runtime defines, what its policy answers",
      function ()
         local path = assert(cc.shared [[
            extern long mine(void), strange(void), later(void);
            long f(void) { return mine() + strange() + later(); }]])
         local runtime <close> = elf.runtime {
            resolve = function (import)
               if import.name == "strange" then
                  return function () return 20 end, "long strange(void)"
               end
            end,
         }
         runtime:define("long mine(void)", function () return 1 end)
         local plan <close> = assert(runtime:plan(path))
         local found = {}
         for _, binding in ipairs(plan.bindings) do
            found[binding.symbol] = binding
         end
         assert.is_true(found.mine.defined)
         assert.is_nil(found.mine.resolved)
         assert.is_true(found.strange.resolved)
         assert.same({ kind = "undefined", symbol = "later", wanters = { path } },
            plan.missing[1])
         runtime:define("long later(void)", function () return 300 end)
         local detail = select(2, assert.fails_with("changed", plan.commit, plan))
         assert.equal("later", detail.symbol)
         local second <close> = assert(runtime:plan(path))
         -- Defined anew it is the same name, and another function.
         runtime:define("long mine(void)", function () return 2 end)
         local p <close> = assert(second:commit())
         assert.equal(322, p:cdef "long f(void);".f())
      end)

   it("is in what stands for a library, and in who is looked through", function ()
      local given
      local runtime <close> = elf.runtime {
         provide = { [leaf] = other,
            [other] = { ["long leaf(void)"] = function () return 5 end } },
         scope = function (plugin, default)
            -- What is planned is nowhere.
            if plugin.path == root and not given then
               given = select(3, plugin:lookup "f")
            end
            return default
         end,
      }
      local plan <close> = assert(runtime:plan(root))
      assert.equal("start", given)
      assert.same({ other, "by what the policy provides" },
         { plan.tree.needs[1].path, plan.tree.needs[1].why })
      assert.equal(other, plan.tree.needs[2].name)
      assert.equal("by what the policy provides", plan.tree.needs[2].why)
      local p <close> = assert(plan:commit())
      assert.equal(25, p:cdef "long f(void);".f())
   end)

   it("does not accept before it is committed", function ()
      local asked = 0
      local runtime <close> = elf.runtime {
         accept = function ()
            asked = asked + 1
            return nil, "not today"
         end,
      }
      local plan <close> = assert(runtime:plan(leaf))
      assert.equal(0, asked)
      assert.fails_with("denied", plan.commit, plan)
      assert.equal(1, asked)
   end)

   it("fails the plan when it raises, with what it raised", function ()
      local cause = {}
      local runtime <close> = elf.runtime {
         search = function () error(cause) end,
      }
      local plan, _, kind, detail = runtime:plan "anything"
      assert.is_nil(plan)
      assert.equal("hook", kind)
      assert.equal(cause, detail.error)
   end)

   it("cannot plan while it is asked", function ()
      local runtime
      local told
      runtime = elf.runtime {
         verify = function ()
            told = table.pack(runtime:plan(leaf))
            return true
         end,
      }
      assert.fails_with("hook", runtime.plan, runtime, root)
      assert.equal("hook", told[3])
      assert(runtime:close())
   end)
end)

describe("A plan's life", function ()
   it("ends by close, at the end of a scope, and when it is collected", function ()
      local plan = assert(elf.plan(leaf))
      assert.equal("plan of " .. leaf, tostring(plan))
      assert.is_true(plan:close())
      assert.equal("plan (closed)", tostring(plan))
      assert.error_matches(function () return plan.tree end, "closed")
      assert.error_matches(function () plan:commit() end, "closed")
      assert.error_matches(function () plan:close() end, "closed")
      local kept
      do
         local scoped <close> = assert(elf.plan(leaf))
         kept = scoped
      end
      assert.error_matches(function () return kept.order end, "closed")
   end)

   it("outlasts its runtime, but cannot be committed then", function ()
      local runtime = elf.runtime {}
      local plan <close> = assert(runtime:plan(root))
      assert(runtime:close())
      assert.equal(root, plan.tree.path)
      assert.error_matches(function () plan:commit() end, "closed")
   end)

   it("keeps nothing open, and nothing from being closed", function ()
      local runtime <close> = elf.runtime {}
      local p = assert(runtime:open(leaf))
      local plan <close> = assert(runtime:plan(root))
      assert.same({ "handle" }, { p:pins()[1].kind, p:pins()[2] })
      assert(p:close())
      assert.is_nil(runtime.loaded[leaf])
      assert.equal("open", object(plan, leaf).state)
   end)

   it("tells no field that it does not have, and takes known options only",
      function ()
         local plan <close> = assert(elf.plan(leaf))
         assert.is_nil(plan.nothing)
         assert.is_nil(plan.kind)
         assert.error_matches(function () elf.plan(leaf, { globl = true }) end,
            "no option 'globl'")
         assert.error_matches(function () elf.plan "" end, "name is empty")
         assert.fails_with("notfound", elf.plan, leaf, { noload = true })
      end)

   it("follows a GNU ld script, as open does", function ()
      local script = fixtures.text(("INPUT(%s)\n"):format(leaf), ".so")
      local plan <close> = assert(elf.plan(script))
      assert.equal(leaf, plan.path)
   end)

   it("leaves nothing, a thousand times", function ()
      local out = run([[
         local resources = require "spec.support.resources"
         local function round ()
            local plan = assert(elf.plan(arg[1]))
            assert(#plan.bindings > 0)
            plan:close()
         end
         for _ = 1, 100 do round() end
         collectgarbage()
         collectgarbage()
         local before, heap = resources.snapshot(), resources.heap()
         for _ = 1, 1000 do round() end
         collectgarbage()
         collectgarbage()
         print(resources.heap() - heap < 65536)
         print(resources.difference(before, resources.snapshot()) or "same")
      ]], root)
      assert.equal("true\nsame\n", out)
   end)
end)
