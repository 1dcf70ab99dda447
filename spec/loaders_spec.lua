--- Two loaders in one process, and threads that use both without order
--- (spec/stress/loaders). #threads

local child = require "spec.support.child"
local loading = require "spec.stress.loading"

local function check (seconds, seed)
   local result = loading.run(seconds, 8, seed)
   local opens, wrong = result.out:match ": (%d+) opens, .*, (%d+) wrong\n$"
   if result.code ~= 0 or wrong ~= "0" then
      error(("the stress %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 2)
   end
   assert.truthy(tonumber(opens) > 100, result.out)
end

-- The program has no Lua in it: one host is enough.
if child.host:match "elf64load$" then
   describe("Eight threads that open, throw, close, create threads and children "
      .. "in two runtimes while the host does so, too #threads", function ()
      it("leave nothing behind, wait for each other for ever nowhere, and are "
         .. "right in all they call", function ()
         check(child.sanitizer and 60 or 5, 1)
      end)

      it("for ten minutes #full", function ()
         check(600, os.time())
      end)
   end)
end
