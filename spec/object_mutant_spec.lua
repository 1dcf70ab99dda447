--- Three hundred seeded mutants of objects and archives, linked in children with
--- limits and not started: none crashes, none hangs, nothing is left behind.
--- `spec/fuzz/run --mutants N --objects` links more.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"
local seeds = require "spec.fuzz.seeds"

local COUNT <const>, BATCH <const> = 300, 100

-- ELF64LOAD_SEED=N tries others.
local SEED <const> = math.tointeger(os.getenv "ELF64LOAD_SEED" or 1)

local folder = fixtures.folder .. "/object-mutants"

describe("Mutants of objects and archives", function ()
   local outcomes, deaths, unclean, total = {}, {}, {}, 0

   setup(function ()
      assert(os.execute(("rm -rf '%s' && mkdir -p '%s/lib'"):format(folder,
         folder)))
      seeds.make.object(folder .. "/lib")
      seeds.make.archive(folder .. "/lib", folder)
      local files = {}
      -- gcc's own representation cannot be linked, nor can nothing.
      for name in campaign.output(("ls '%s/lib'"):format(folder)):gmatch
            "%S+" do
         if name ~= "lto" and name ~= "empty" then
            files[#files + 1] = folder .. "/lib/" .. name
         end
      end
      local first = SEED
      while first < SEED + COUNT and #deaths < 20 do
         local last = math.min(first + BATCH, SEED + COUNT) - 1
         local result = child.lua('dofile "spec/fuzz/linking.lua"',
            { tostring(first), tostring(last), folder, table.unpack(files) },
            { seconds = 300, memory = 8192 })
         local reached = first - 1
         for seed, outcome in result.out:gmatch
               "(%d+) %a+ %a+ [%w_]+ (%a*)" do
            seed = math.tointeger(seed)
            if seed >= first then
               reached, total = seed, total + 1
               if outcome ~= "" then
                  outcomes[outcome] = (outcomes[outcome] or 0) + 1
               end
            end
         end
         if result.err:find("left behind", 1, true) then
            unclean[#unclean + 1] = result.err
         elseif result.code ~= 0 then
            deaths[#deaths + 1] = ("the child %s over mutant %d\n%s"):format(
               child.describe(result), reached, result.err)
         end
         first = result.code == 0 and last + 1 or math.max(reached, first) + 1
      end
      local words = {}
      for key, number in pairs(outcomes) do
         words[#words + 1] = ("%s %d"):format(key, number)
      end
      table.sort(words)
      io.write(("%d mutants of objects: %s\n"):format(total,
         table.concat(words, ", ")))
   end)

   it("do not crash the link editor and do not hang it", function ()
      assert.same({}, deaths)
      assert.equal(COUNT, total)
   end)

   it("leave no mappings and no descriptors", function ()
      assert.same({}, unclean)
   end)

   it("are linked, or refused for more than one reason", function ()
      assert.is_true((outcomes.open or 0) * 8 > total)
      assert.is_true((outcomes.badformat or 0) * 8 > total)
   end)
end)
