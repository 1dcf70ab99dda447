-- Faults: every allocation and every system call fails in turn (spec/faults/run).

local child = require "spec.support.child"
local faults = require "spec.faults.faults"

-- Runs a scenario and counts its points.
local function run (counts, name, what, when, how, variant)
   local result = faults.run(name, what, when, how, variant)
   if result.wrong > 0 then error(result.text, 2) end
   counts.points = counts.points + result.points
   counts.refused = counts.refused + result.refused
   counts.heaps = counts.heaps + result.heaps
end

local function each (names, what, times, hows, variants)
   local counts = { points = 0, refused = 0, heaps = 0 }
   for _, name in ipairs(names) do
      for _, when in ipairs(times) do
         for _, how in ipairs(hows) do
            for variant = 0, (variants or 1) - 1 do
               run(counts, name, what, when, how, variant)
            end
         end
      end
   end
   return counts
end

-- Of each kind one. Sanitizers are slow, and look for leaks each time.
local FEW <const> = child.sanitizer
   and { "cache", "initial-exec", "ifunc-in-text", "close-tree", "plan",
      "policy", "link" }
   or { "tree-partly-open", "cache", "initial-exec", "ifunc-in-text", "c++",
      "start-text", "close-tree", "lookup-special", "plan", "commit", "policy",
      "stand-in", "defined", "link" }

describe("A fault leaves nothing behind and changes nothing the second time, "
   .. "and without it all works #once", function ()
   it("when an allocation fails", function ()
      local counts = each(FEW, "memory", { "warm" }, { "one" })
      assert.truthy(counts.points > 70, counts.points)
      assert.truthy(counts.refused > 20, counts.refused)
   end)

   it("when an allocation fails, and nothing has been opened yet", function ()
      local counts = each(FEW, "memory", { "cold" }, { "one" })
      assert.truthy(counts.points > 80, counts.points)
   end)

   -- The address sanitizer ends the process when its own mmap fails.
   it("when a system call fails #build", function ()
      local counts = each(FEW, "calls", { "warm" }, { "one" })
      assert.truthy(counts.points > 30, counts.points)
      assert.truthy(counts.refused > 20, counts.refused)
      assert.truthy(counts.heaps > 0, counts.heaps)
   end)

   it("when an allocation of the Lua state fails", function ()
      local result = faults.lua()
      local points = 0
      for count in result.out:gmatch ": (%d+) points" do
         points = points + math.tointeger(tonumber(count))
      end
      assert.equal(0, result.code, child.describe(result) .. "\n" .. result.out)
      assert.truthy(points > 200, points)
   end)

   it("whatever is done, and however often it fails #full", function ()
      local names = faults.scenarios()
      local both, always = { "warm", "cold" }, { "one", "all" }
      local memory = each(names, "memory", both, always)
      local calls = each(names, "calls", both, always)
      assert.truthy(memory.points > 4000, memory.points)
      assert.truthy(calls.points > 4000, calls.points)
   end)
end)
