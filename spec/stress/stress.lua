--- Builds and runs the stress of threads.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local child = require "spec.support.child"
local cc = require "elf64load.cc"

local stress = {}

-- As child.run wants them.
local LIMITS <const> = {
   seconds = 600,
   env = child.sanitizer and { STRESS_WITHOUT_FORK = "1" } or nil,
}

local FOLDER <const> = "spec/stress/"
local PLUGINS <const> = 16

local function plugins ()
   local paths = {}
   for i = 1, PLUGINS do
      paths[i] = assert(cc.shared(campaign.contents(FOLDER .. "plugin.c"),
         ("-ftls-model=initial-exec -DVALUE=%d"):format(i * 1000003 + i)))
   end
   return paths
end

local function words (...)
   local out = { ... }
   for at, word in ipairs(out) do out[at] = tostring(word) end
   return table.move(plugins(), 1, PLUGINS, #out + 1, out)
end

--- Runs it in a program that the loader is linked into.
---@param threads integer how many are created
---@param opens integer how many plugins are opened meanwhile
---@return result
function stress.linked (threads, opens)
   local flags = "-pthread"
   if os.getenv "ELF64LOAD_CONFIG" == "tsan" then
      flags = flags .. " -fsanitize=thread"
   end
   local program = campaign.program({ FOLDER .. "linked.c",
      FOLDER .. "creators.c", FOLDER .. "creators.h", "src/elf64load.h",
      fixtures.loader() .. "/lib/libelf64load.a" }, flags)
   return child.run(words(program, threads, opens), LIMITS)
end

--- Runs it in a host like this one.
---@param threads integer
---@param opens integer
---@return result
function stress.hosted (threads, opens)
   local library = assert(cc.shared(campaign.contents(FOLDER .. "creators.c"),
      "-std=gnu11 -D_GNU_SOURCE -pthread -I " .. FOLDER))
   return child.lua(campaign.contents(FOLDER .. "hosted.lua"),
      words(library, threads, opens), LIMITS)
end

return stress
