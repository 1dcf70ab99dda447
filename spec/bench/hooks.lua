--- What both sides of the row `hooks` do: open a library in one runtime after the
--- other, and print what an open takes.

local elf = require "elf64load"
local statistics = require "spec.bench.statistics"

local hooks = {}

-- So many opens, or so many seconds of them.
local OPENS <const>, SECONDS <const> = 100, 0.1

--- Prints nanoseconds of this process' time for an open, the median. Runtimes,
--- closing and collecting do not count.
---@param path string
---@param policy elf64load.policy
function hooks.run (path, policy)
   local times, spent = {}, 0
   collectgarbage "stop"
   for number = 0, OPENS do
      local runtime = elf.runtime(policy)
      local start = os.clock()
      local plugin = assert(runtime:open(path))
      -- The first one makes what the process keeps.
      times[number] = (os.clock() - start) * 1e9
      plugin:close()
      runtime:close()
      collectgarbage()
      spent = spent + times[number] / 1e9
      if number > 0 and spent > SECONDS then break end
   end
   print(("total=%d"):format(statistics.summary(times).median // 1 | 0))
end

return hooks
