--- The stress of threads (spec/stress/threads), a short one and a full one.

local child = require "spec.support.child"
local stress = require "spec.stress.stress"

local function check (result, threads)
   local made, _, stale, failed = result.out:match
      "^(%d+) threads, (%d+) opens, (%d+) stale, (%d+) not created\n$"
   if not made then
      error(("the stress %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 2)
   end
   assert.equal("0", stale)
   assert.equal("0", failed)
   assert.truthy(tonumber(made) >= threads)
   assert.equal(0, result.code)
end

-- Sanitizers make threads slow.
local THREADS <const> = child.sanitizer and 2000 or 20000
local OPENS <const> = child.sanitizer and 100 or 600

describe("While threads are created and end in every way and plugins are opened "
   .. "and closed, no thread-local variable is stale", function ()
   it("in a program that the loader is linked into", function ()
      check(stress.linked(THREADS, OPENS), THREADS)
   end)

   it("in this host", function ()
      check(stress.hosted(THREADS, OPENS), THREADS)
   end)

   it("in 100,000 threads and 3,000 opens, linked #full", function ()
      check(stress.linked(100000, 3000), 100000)
   end)

   it("in 100,000 threads and 3,000 opens, in this host #full", function ()
      check(stress.hosted(100000, 3000), 100000)
   end)
end)
